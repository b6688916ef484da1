// What rows are chosen by, as columns. A column of one value only leaves nothing to choose, and is not offered.
const FACETS = [
  ["model", "Model"],
  ["environment.platform", "Platform"],
  ["precision", "Precision"],
  ["configuration", "Configuration"],
  ["workload", "Workload"],
  ["environment.dtype", "Dtype of the weights"],
  ["machine", "Machine"],
  ["variant", "Variant"],
  ["overrides", "Overrides"],
  ["environment.device", "Device"],
  ["environment.cpu", "CPU"],
  ["environment.threads", "Threads"],
  ["environment.attention", "Attention"],
  ["environment.compile", "Compiled"],
  ["metadata_id", "Metadata id"],
  ["run", "Run"],
  ["trust", "Trust"],
  ["input", "Input size"],
  ["batch", "Batch size"],
];
const MOST_CHOICES = 40; // numbers; of more, a range is chosen
const MOST_BOXES = 100; // checkboxes there are at once; others are found by name
const FEW_BOXES = 8; // that need no field to find them by

/** The filters: a form, and which rows it leaves. */
class Filters {
  constructor(shapes, onchange) {
    this.shapes = shapes;
    this._onchange = onchange;
    this._facets = FACETS.map(([name, label]) => facetOf(shapes, name, label, () => this._changed())).filter(Boolean);
    this._words = new Words(shapes, () => this._changed());
    this._clear = button("Clear all filters", () => this.clear());
    this.form = make(
      "form",
      { onsubmit: (event) => event.preventDefault() },
      this._words.field,
      ...this._facets.map((facet) => facet.field),
      this._clear,
    );
    this._clear.disabled = true;
  }

  /** The rows that every filter lets through. */
  rows() {
    const tests = this._active().map((facet) => facet.test());
    return this.shapes.rows.filter((row) => tests.every((test) => test(row)));
  }

  /** The labels of the filters that hide something. */
  labels() {
    return this._active().map((facet) => facet.label.toLowerCase());
  }

  /** Let every row through again. */
  clear() {
    for (const facet of [this._words, ...this._facets]) facet.clear();
    this._changed();
  }

  _active() {
    return [this._words, ...this._facets].filter((facet) => facet.active());
  }

  _changed() {
    this._clear.disabled = this._active().length === 0;
    this._onchange();
  }
}

/** A facet for a column: a choice of its values, or, where these are too many, a range; null where one is all. */
function facetOf(shapes, name, label, changed) {
  const values = name === "trust" ? shapes.rows.map((row) => trust(shapes, row).kind) : shapes.column(name);
  const found = new Map();
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
  if (found.size < 2) return null;
  const numeric = shapes.kind(name) === "integer";
  if (found.size > MOST_CHOICES && numeric) return new Range(values, label, changed);
  const order = name === "trust" ? (one, other) => TRUST.indexOf(one) - TRUST.indexOf(other) : ordered;
  const say = (value) => shapes.say(name, value);
  return new Choice(
    values,
    label,
    [...found].sort(([one], [other]) => order(one, other)),
    say,
    changed,
  );
}

/** Checkboxes, one a value; none of them checked lets everything through. */
class Choice {
  constructor(values, label, found, say, changed) {
    this.label = label;
    this._values = values;
    this._found = found.map(([value, number]) => ({ value, number, text: say(value) }));
    this._chosen = new Set();
    this._changed = changed;
    this._list = make("div", { class: "choices" });
    this._finder = make("input", {
      type: "search",
      "aria-label": `Find in ${label}`,
      placeholder: "Find",
      oninput: () => this._fill(),
    });
    const finder = found.length > FEW_BOXES ? [this._finder] : [];
    this.field = make("fieldset", {}, make("legend", {}, label), ...finder, this._list);
    this._fill();
  }

  /** Show a checkbox for each value with the text to be found, and for those that are chosen. */
  _fill() {
    const wanted = this._finder.value.toLowerCase();
    const fitting = this._found.filter(
      ({ value, text }) => this._chosen.has(value) || text.toLowerCase().includes(wanted),
    );
    this._list.replaceChildren(...fitting.slice(0, MOST_BOXES).map((choice) => this._box(choice)));
    const left = fitting.length - MOST_BOXES;
    if (left > 0)
      this._list.append(make("p", { class: "note" }, `${left.toLocaleString("en")} more: find them by name.`));
  }

  _box({ value, number, text }) {
    const box = checkbox(text, (on) => {
      if (on) this._chosen.add(value);
      else this._chosen.delete(value);
      this._changed();
    });
    box.input.checked = this._chosen.has(value);
    box.field.append(make("span", { class: "count" }, number.toLocaleString("en")));
    return box.field;
  }

  active() {
    return this._chosen.size > 0;
  }

  test() {
    return (row) => this._chosen.has(this._values[row]);
  }

  clear() {
    this._chosen.clear();
    this._fill();
  }
}

/** From one number to another. */
class Range {
  constructor(values, label, changed) {
    this.label = label;
    this._values = values;
    const field = (name) =>
      make("input", { type: "number", "aria-label": `${label}, ${name}`, placeholder: name, oninput: changed });
    this._from = field("from");
    this._to = field("to");
    this.field = make("fieldset", {}, make("legend", {}, label), make("div", { class: "range" }, this._from, this._to));
  }

  active() {
    return this._from.value !== "" || this._to.value !== "";
  }

  test() {
    const from = this._from.value === "" ? -Infinity : Number(this._from.value);
    const to = this._to.value === "" ? Infinity : Number(this._to.value);
    return (row) => this._values[row] !== null && from <= this._values[row] && this._values[row] <= to;
  }

  clear() {
    this._from.value = this._to.value = "";
  }
}

/** Words that a row's texts must have, all of them. */
class Words {
  constructor(shapes, changed) {
    this.label = "words";
    this._shapes = shapes;
    this._input = make("input", { type: "search", oninput: changed });
    this.field = make("label", { class: "field" }, make("span", {}, "Search, all words"), this._input);
  }

  active() {
    return this._input.value.trim() !== "";
  }

  test() {
    this._texts ??= this._shapes.rows.map((row) => this._text(row));
    const words = this._input.value.toLowerCase().split(/\s+/);
    return (row) => words.every((word) => this._texts[row].includes(word));
  }

  _text(row) {
    const names = [
      "model",
      "model_class",
      "environment.platform",
      "environment.device",
      "precision",
      "variant",
      "overrides",
      "machine",
      "metadata_id",
    ];
    const texts = names.map((name) => this._shapes.value(row, name) ?? "");
    return [this._shapes.run(row), ...texts, trust(this._shapes, row).text].join("\n").toLowerCase();
  }

  clear() {
    this._input.value = "";
  }
}

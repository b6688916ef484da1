const MOST_RATIOS = 100; // in the chart
const MOST_SIZES = 10; // in a sentence
const MOST_LETTERS = 30; // of a fact in a sentence
const LOG_SPAN = 4; // a logarithmic axis where the largest ratio is so many times the smallest
const LOOKS = { regression: "slower", improvement: "faster" };

panel({
  id: "compare",
  title: "Two logs side by side",

  empty(shapes) {
    const { logs, made, left } = shapes.found.comparisons;
    if (logs < 2) return "There is one log only: name two to compare them.";
    return made.length + left ? null : "No two of these logs have timed the same shape of the same model.";
  },

  build(body, shapes) {
    const { made, left } = shapes.found.comparisons;
    this.made = made;
    const pairs = made.map(({ base, new: next }, number) => [number, `${next} against ${base}`]);
    const other = () => {
      this.across.input.checked = false; // what may differ was said of two other logs
      this.show();
    };
    this.pair = choice("Compare", pairs, other);
    this.pair.select.value = Math.max(0, made.findIndex(({ differing }) => Object.keys(differing).length === 0));
    this.across = checkbox("These facts may differ: give the ratios all the same", () => this.show(), { id: "across" });
    this.differing = make("p", { id: "differing" });
    this.notice = make("div", { class: "notice" }, this.differing, this.across.field);
    this.overall = make("p", { id: "overall", role: "status" });
    this.place = make("div", { id: "chart-ratio", class: "plot" });
    const caption = make("figcaption", {}, "Latency of new over base: above 1, new is slower");
    this.figure = make("figure", { "aria-label": "Ratios: the table below has them too" }, caption, this.place);
    this.frame = make("div");
    this.pages = new Pages((lines) => this.drawTable(lines));
    this.missing = make("ul", { id: "missing" });
    this.command = make("p", { class: "note" });
    const rest = left ? `${count(left, "more pair")} had no room here. ` : "";
    const others = `${rest}Any two logs that are not offered here, or the same the other way round: fmbench compare BASE NEW.`;
    body.append(
      make("div", { class: "controls" }, this.pair.field),
      this.notice,
      this.overall,
      this.figure,
      this.frame,
      this.pages.field,
      this.missing,
      this.command,
      make("p", { class: "note", id: "others" }, others),
    );
    whenRecoloured(() => this.show());
  },

  /** The filters leave a comparison whole: its verdicts are corrected for all of its shapes. */
  update() {
    return this.shown ? undefined : this.show();
  },

  async show() {
    this.shown = true;
    this.pair.field.hidden = this.made.length === 0;
    const found = this.made[Number(this.pair.select.value)];
    if (found === undefined) {
      this.notice.hidden = this.figure.hidden = this.pages.field.hidden = true;
      return;
    }
    const facts = Object.entries(found.differing);
    const told = facts.length === 0 || this.across.input.checked;
    this.notice.hidden = facts.length === 0;
    this.differing.textContent =
      `The fingerprints of these logs differ in ${facts.map(factText).join(", ")}. ` +
      "A ratio would say what all of that did together.";
    this.overall.textContent = told ? found.headline : `${count(found.shapes.length, "shape")} in both logs, not compared.`;
    this.frame.hidden = this.pages.field.hidden = !told;
    if (told) this.pages.show(found.shapes.map((_, line) => line));
    this.missing.replaceChildren(...leftOut(found).map((text) => make("li", {}, text)));
    this.command.textContent = `These are the verdicts of: ${found.command}`;
    await this.drawRatios(told ? found.shapes.filter(({ ratio }) => ratio !== null) : []);
  },

  drawTable(places) {
    const { table, shapes } = this.made[Number(this.pair.select.value)];
    const lines = places.map((place) => table.lines[place]);
    this.frame.replaceChildren(...tableOf("Two logs side by side", { ...table, lines }));
    for (const [line, row] of this.frame.querySelectorAll("tbody tr").entries())
      row.className = LOOKS[shapes[places[line]].verdict] ?? "";
  },

  async drawRatios(shapes) {
    const some = shapes.slice(0, MOST_RATIOS);
    this.figure.hidden = some.length < 2;
    if (this.figure.hidden) return;
    const every = Math.ceil(some.length / roomIn(this.place));
    const ticks = some.map((shape, place) => [place, sizesText(shape)]).filter(([place]) => place % every === 0);
    const values = some.flatMap(({ ratio, interval }) => [ratio, ...interval]);
    const log = Math.max(...values) > LOG_SPAN * Math.min(...values);
    const cut = shapes.length > some.length ? `, the first ${some.length} of ${shapes.length.toLocaleString("en")}` : "";
    const line = { color: styled("--strong"), width: 1 };
    const one = { type: "line", xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1, line };
    const x = { title: `input × batch${cut}`, log: false, zero: false, ticks };
    const looks = [["regression", COLOURS[5], "triangle-up"], ["improvement", COLOURS[0], "triangle-down"]];
    looks.push(["no significant difference", styled("--muted"), "circle"]);
    const traces = looks.map((look) => ratioTrace(some, ...look));
    await draw(this.place, traces, x, { title: "new / base", log, zero: false }, { shapes: [one] });
  },
});

/** The ratios of one verdict, as plotly draws them. */
function ratioTrace(shapes, word, color, symbol) {
  const places = shapes.flatMap(({ verdict }, place) => (verdict === word ? [place] : []));
  const bands = places.map((place) => [shapes[place].ratio, ...shapes[place].interval]);
  const hover = (place, at) => [sizesText(shapes[place]), ratioText(bands[at]), word, shapes[place].reason ?? ""];
  return {
    type: "scatter",
    mode: "markers",
    x: places,
    y: bands.map(([value]) => value),
    error_y: bars(bands, color),
    marker: { color, size: 9, symbol },
    hoverinfo: "text",
    hovertext: places.map((place, at) => hover(place, at).filter(Boolean).map(plain).join("<br>")),
  };
}

/** The sizes of a shape, and its variant. */
function sizesText({ input, batch, variant }) {
  return `${input ?? "?"} × ${batch ?? "?"}${variant === null ? "" : `, ${variant}`}`;
}

/** A fact and both its values, in a few words. */
function factText([name, values]) {
  const short = (value) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text;
  };
  return `${name} (${values.map(short).join(" / ")})`;
}

/** What is in one log only. */
function leftOut(found) {
  return [["base", found.only_base], ["new", found.only_new]].flatMap(([side, shapes]) => {
    if (shapes.length === 0) return [];
    const more = shapes.length > MOST_SIZES ? ` and ${shapes.length - MOST_SIZES} more` : "";
    return [`Only in ${found[side]}: ${shapes.slice(0, MOST_SIZES).map(sizesText).join(", ")}${more}`];
  });
}

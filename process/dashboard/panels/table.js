const LONG = 18; // letters; a longer text may take two lines
const MARKS = { failed: "✖ ", unstable: "▲ ", partial: "▲ ", simulated: "▲ ", doubtful: "▲ " };

// Head of the column, and the column it shows, or its text in a row and what it is sorted by. One that says the same in
// every row is left out, but for those always there: the page says at its top what all rows have in common.
const COLUMNS = [
  { head: "model", name: "model" },
  { head: "platform", name: "environment.platform" },
  { head: "precision", name: "precision" },
  { head: "machine", name: "machine" },
  { head: "threads", name: "environment.threads" },
  { head: "compiled", name: "environment.compile" },
  { head: "attention", name: "environment.attention" },
  { head: "input", name: "input", always: true },
  { head: "batch", name: "batch", always: true },
  { head: "variant", differing: "variant", text: variantText },
  { head: "latency ms", always: true, figure: "itl" },
  { head: "sequences/s", always: true, figure: "thp" },
  { head: "n", name: "statistics.n", always: true },
  { head: "times A", differing: "pair.ratio", look: "number", text: speedText },
  { head: "trust", always: true, look: "trust", text: trustText },
  { head: "run", differing: "run", look: "run", text: (shapes, row) => shapes.run(row) },
];

panel({
  id: "table",
  title: "Every shape",

  build(body, shapes) {
    this.shapes = shapes;
    this.rows = this.sorted = [];
    this.sort = { column: null, down: false };
    this.columns = COLUMNS.filter((column) => isShown(shapes, column)).map((column) => ofColumn(shapes, column));
    this.extra = [];
    this.head = make("tr");
    this.lines = make("tbody");
    this.pages = new Pages((rows) => this.draw(rows));
    this.download = button("", () => save(csvOf(shapes, this.sorted), "fmbench.csv", "text/csv"));
    body.append(
      make("div", { class: "controls" }, this.download, this.chooser()),
      framed("Every shape", make("thead", {}, this.head), this.lines),
      this.pages.field,
    );
    this.drawHead();
  },

  update(rows) {
    this.rows = rows;
    this.download.textContent = `Download ${count(rows.length, "row")} as CSV`;
    this.download.disabled = rows.length === 0;
    this.arrange();
  },

  /** Sort the rows, and show the first page. Rows that are alike keep their order. */
  arrange() {
    const { column, down } = this.sort;
    this.sorted = this.rows;
    if (column !== null) {
      const keys = new Map(this.rows.map((row) => [row, column.key(row)]));
      const sign = down ? -1 : 1;
      this.sorted = [...this.rows].sort((one, other) => {
        const [a, b] = [keys.get(one), keys.get(other)];
        return a === null || b === null ? ordered(a, b) : sign * ordered(a, b);
      });
    }
    this.pages.show(this.sorted);
  },

  /** Draw the rows of a page. */
  draw(rows) {
    const columns = [...this.columns, ...this.extra];
    this.lines.replaceChildren(...rows.map((row) => this.line(row, columns)));
    if (rows.length === 0) {
      const empty = make("td", { colspan: columns.length, class: "empty" }, ALL_HIDDEN);
      this.lines.append(make("tr", {}, empty));
    }
  },

  line(row, columns) {
    const cells = columns.map((column) => {
      const text = column.text(row);
      return make("td", { class: column.look ?? (text.length > LONG ? "long" : null) }, text);
    });
    return make("tr", { class: trust(this.shapes, row).kind }, ...cells);
  },

  drawHead() {
    const columns = [...this.columns, ...this.extra];
    this.head.replaceChildren(
      ...columns.map((column) => {
        const state = this.sort.column !== column ? "none" : this.sort.down ? "descending" : "ascending";
        const sign = { ascending: " ▲", descending: " ▼", none: "" }[state];
        const press = button(column.head, () => this.sortBy(column));
        press.append(make("span", { "aria-hidden": "true", class: "sign" }, sign));
        return make("th", { scope: "col", "aria-sort": state, class: column.look }, press);
      }),
    );
  },

  /** Sort by a column: upwards, then downwards, then not at all. */
  sortBy(column) {
    const same = this.sort.column === column;
    this.sort = same && this.sort.down ? { column: null, down: false } : { column, down: same };
    const focused = [...this.head.querySelectorAll("button")].indexOf(document.activeElement);
    this.drawHead();
    this.head.querySelectorAll("button")[focused]?.focus();
    this.arrange();
  },

  /** Offer every other column of the CSV format that holds something. */
  chooser() {
    const { shapes } = this;
    const shown = new Set(this.columns.map((column) => column.name));
    const names = shapes.names.filter((name) => !shown.has(name) && !shapes.isEmpty(name));
    const boxes = names.map((name) => checkbox(name, (on) => this.show(name, on)).field);
    return make("details", {}, make("summary", {}, "More columns"), make("div", { class: "choices many" }, ...boxes));
  },

  /** Show a further column, or hide it again. */
  show(name, on) {
    if (on) this.extra.push(ofColumn(this.shapes, { head: name, name }));
    else this.extra = this.extra.filter((column) => column.head !== name);
    if (!on && this.sort.column?.head === name) this.sort = { column: null, down: false };
    this.drawHead();
    this.arrange();
  },
});

/** Whether a column tells rows apart. */
function isShown(shapes, { name, differing = name, always }) {
  return always || shapes.distinct(differing).length > 1;
}

/** A column with its text, its sort key and its look. */
function ofColumn(shapes, column) {
  if (column.name) {
    const values = shapes.column(column.name);
    const look = ["integer", "number"].includes(shapes.kind(column.name)) ? "number" : undefined;
    return { look, text: (row) => String(values[row] ?? ""), key: (row) => values[row], ...column };
  }
  if (column.figure) {
    const values = shapes.column(column.figure);
    const text = (row) => figureText(shapes, row, column.figure);
    return { look: "number", text, key: (row) => values[row], ...column };
  }
  const text = (row) => column.text(shapes, row);
  return { ...column, text, key: (row) => text(row) || null };
}

/** A figure with half its interval for latency, to three digits for throughput; as `fmbench show` says it. */
function figureText(shapes, row, name) {
  const value = name === "itl" ? shapes.median(row) : shapes.rate(row);
  if (value === null) return "";
  const interval = name === "itl" ? shapes.interval(row) : null;
  return interval ? plusMinus([value, ...interval]) : significant(value);
}

/** Whether a row can be trusted, with a sign before what should not be overlooked. */
function trustText(shapes, row) {
  const { kind, text } = trust(shapes, row);
  return (MARKS[kind] ?? "") + text;
}

/** A variant with what it overrides: a letter means something in its own run only. */
function variantText(shapes, row) {
  const [letter, overrides] = [shapes.value(row, "variant"), shapes.value(row, "overrides")];
  return overrides === null ? (letter ?? "") : `${letter} (${overrides || "the same command"})`;
}

/** How many times the speed of A a variant has, with its interval. */
function speedText(shapes, row) {
  const [ratio, text] = [shapes.value(row, "pair.ratio"), shapes.value(row, "pair.interval")];
  if (!(ratio > 0)) return "";
  const [low, high] = text === null ? [] : JSON.parse(text);
  return ratioText(low > 0 ? [1 / ratio, 1 / high, 1 / low] : [1 / ratio]);
}

// A spreadsheet takes a text that begins so for a formula. A number may begin with a sign.
const FORMULA = /^[=+\-@\t\r\n]/;
const PLAIN_NUMBER = /^[+-]?[0-9.]+$/;

/** Rows as CSV: the columns of `process --format csv`, in its order. */
function csvOf(shapes, rows) {
  const columns = shapes.names.map((name) => shapes.column(name));
  const lines = rows.map((row) => columns.map((column) => csvCell(column[row])).join(","));
  return [shapes.names.map(csvCell).join(","), ...lines, ""].join("\n");
}

/** A cell: nothing for null, quotes where they are needed, an apostrophe before what would be a formula. */
function csvCell(value) {
  if (value === null) return "";
  const text = String(value);
  const safe = typeof value === "string" && FORMULA.test(text) && !PLAIN_NUMBER.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Have the browser save a text as a file. */
function save(text, name, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

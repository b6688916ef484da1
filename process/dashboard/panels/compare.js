const MOST_RATIOS = 100; // in the chart
const MOST_SIZES = 10; // in a sentence
const MOST_LETTERS = 30; // of a fact in a sentence
const LOG_SPAN = 4; // a logarithmic axis where the largest ratio is so many times the smallest
const MOST_TRIED = 50; // runs among which two that suit are looked for
const HOW =
  "The interval follows from the 95% intervals of the two medians, for each shape on its own: of 20 shapes that are " +
  "alike, about one is called slower or faster. fmbench compare tests the repetitions themselves.";

panel({
  id: "compare",
  title: "Two runs side by side",

  empty(shapes) {
    return shapes.runs.length < 2 ? "There is one run only: name two logs to compare them." : null;
  },

  build(body, shapes) {
    this.shapes = shapes;
    this.rows = [];
    this.facts = shapes.rowsOfRuns.map((rows) => rows.find((row) => shapes.value(row, "model") !== null) ?? rows[0]);
    const again = () => this.update(this.rows);
    const other = () => {
      this.across.input.checked = false; // what may differ was said of two other runs
      again();
    };
    const runs = shapes.runs.map((run, number) => [number, run.name]);
    this.base = choice("Base", runs, other);
    this.next = choice("New", runs, other);
    [this.base.select.value, this.next.select.value] = this.likely();
    this.across = checkbox("These facts may differ: give the ratios all the same", again, { id: "across" });
    this.differing = make("p", { id: "differing" });
    this.notice = make("div", { class: "notice" }, this.differing, this.across.field);
    this.overall = make("p", { id: "overall", role: "status" });
    this.place = make("div", { id: "chart-ratio", class: "plot" });
    const caption = make("figcaption", {}, "Latency of new over base: above 1, new is slower");
    this.figure = make("figure", { "aria-label": "Ratios: the table below has them too" }, caption, this.place);
    this.head = make("thead");
    this.lines = make("tbody");
    this.frame = framed("Two runs side by side", this.head, this.lines);
    this.pages = new Pages((pairs) => this.lines.replaceChildren(...pairs.map((pair) => this.line(pair))));
    this.missing = make("ul", { id: "missing" });
    const swap = button("Swap", () => this.swap());
    body.append(
      make("div", { class: "controls" }, this.base.field, this.next.field, swap),
      this.notice,
      this.overall,
      this.figure,
      this.frame,
      this.pages.field,
      this.missing,
      make("p", { class: "note" }, HOW),
    );
    whenRecoloured(again);
  },

  async update(rows) {
    this.rows = rows;
    const { shapes } = this;
    const runs = [this.base, this.next].map(({ select }) => Number(select.value));
    const differing = differences(shapes, ...runs.map((run) => this.facts[run]));
    this.notice.hidden = differing.length === 0;
    this.differing.textContent =
      `The fingerprints of these runs differ in ${differing.map(factText).join(", ")}. ` +
      "A ratio would say what all of that did together.";
    const across = differing.length > 0 && this.across.input.checked;
    const found = matched(shapes, rows, runs, across);
    const allowed = across || differing.length === 0;
    this.pairs = found.pairs.map((pair) => ({ ...pair, ...judged(shapes, pair, allowed) }));
    this.models = new Set(this.pairs.map(({ base }) => shapes.value(base, "model"))).size > 1;
    this.frame.hidden = this.pairs.length === 0;
    this.drawHead(runs);
    this.pages.show(this.pairs);
    this.overall.textContent = overallOf(this.pairs, runs);
    this.missing.replaceChildren(...leftOut(shapes, found, runs).map((text) => make("li", {}, text)));
    await this.drawRatios(this.pairs.filter((pair) => pair.ratio !== null));
  },

  /** Two runs of the same shapes, of one fingerprint if there are any; else the first two. */
  likely() {
    const { shapes } = this;
    const sizes = shapes.rowsOfRuns
      .slice(0, MOST_TRIED)
      .map((rows) => new Set(rows.map((row) => `${shapes.value(row, "input")} ${shapes.value(row, "batch")}`)));
    let second = null;
    for (let one = 0; one < sizes.length; one += 1) {
      for (let other = one + 1; other < sizes.length; other += 1) {
        if (![...sizes[one]].some((size) => sizes[other].has(size))) continue;
        if (differences(shapes, this.facts[one], this.facts[other]).length === 0) return [one, other];
        second ??= [one, other];
      }
    }
    return second ?? [0, 1];
  },

  swap() {
    const [base, next] = [this.base.select, this.next.select];
    [base.value, next.value] = [next.value, base.value];
    this.update(this.rows);
  },

  drawHead([base, next]) {
    const { runs } = this.shapes;
    const latencies = [base, next].map((run) => `${runs[run].name}: latency ms`);
    const heads = ["input", "batch", ...latencies, "new / base"].map((text) => [text, "number"]);
    if (this.models) heads.unshift(["model", null]);
    const cells = [...heads, ["verdict", null]].map(([text, look]) => make("th", { scope: "col", class: look }, text));
    this.head.replaceChildren(make("tr", {}, ...cells));
  },

  line({ base, next, ratio, verdict, doubts, word }) {
    const { shapes } = this;
    const sizes = ["input", "batch"].map((name) => String(shapes.value(base, name) ?? ""));
    const latencies = [base, next].map((row) => (shapes.latency(row) ? figureText(shapes, row, "itl") : ""));
    const numbers = [...sizes, ...latencies, ratio === null ? "" : ratioText(ratio)];
    const cells = numbers.map((text) => make("td", { class: "number" }, text));
    if (this.models) cells.unshift(make("td", { class: "long" }, shapes.value(base, "model") ?? ""));
    return make("tr", { class: word }, ...cells, make("td", { class: "verdict" }, make("b", {}, verdict), doubts));
  },

  async drawRatios(pairs) {
    const some = pairs.slice(0, MOST_RATIOS);
    this.figure.hidden = some.length < 2;
    if (this.figure.hidden) return;
    const sizes = some.map(({ base }) => sizesText(this.shapes, base));
    const colours = { slower: COLOURS[5], faster: COLOURS[0], equal: styled("--muted") };
    const traces = Object.entries(colours).map(([word, colour]) => ratioTrace(some, sizes, word, colour));
    const every = Math.ceil(some.length / roomIn(this.place));
    const ticks = sizes.map((text, place) => [place, text]).filter(([place]) => place % every === 0);
    const values = some.flatMap(({ ratio }) => ratio);
    const log = Math.max(...values) > LOG_SPAN * Math.min(...values);
    const cut = pairs.length > some.length ? `, the first ${some.length} of ${pairs.length.toLocaleString("en")}` : "";
    const one = {
      type: "line",
      xref: "paper",
      x0: 0,
      x1: 1,
      y0: 1,
      y1: 1,
      line: { color: styled("--strong"), width: 1 },
    };
    const [x, y] = [
      { title: `input × batch${cut}`, log: false, zero: false, ticks },
      { title: "new / base", log, zero: false },
    ];
    await draw(this.place, traces, x, y, { shapes: [one] });
  },
});

/** The ratios of one verdict, as plotly draws them. */
function ratioTrace(pairs, sizes, word, colour) {
  const places = pairs.flatMap((pair, place) => (pair.word === word ? [place] : []));
  const bands = places
    .map((place) => pairs[place].ratio)
    .map(([value, low = value, high = value]) => [value, low, high]);
  const symbol = { slower: "triangle-up", faster: "triangle-down", equal: "circle" }[word];
  const hover = ({ ratio, verdict, doubts }, size) =>
    [size, ratioText(ratio), verdict + doubts].map(plain).join("<br>");
  return {
    type: "scatter",
    mode: "markers",
    x: places,
    y: bands.map(([value]) => value),
    error_y: bars(bands, colour),
    marker: { color: colour, size: 9, symbol },
    hoverinfo: "text",
    hovertext: places.map((place) => hover(pairs[place], sizes[place])),
  };
}

/** The sizes of a shape. */
function sizesText(shapes, row) {
  return `${shapes.value(row, "input") ?? "?"} × ${shapes.value(row, "batch") ?? "?"}`;
}

/** A fact and both its values, in a few words. */
function factText({ name, values }) {
  const short = (text) => (text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text);
  return `${name} (${values.map(short).join(" / ")})`;
}

/** All of it in one sentence. */
function overallOf(pairs, [base, next]) {
  if (base === next) return "Base and new are the same run.";
  if (pairs.length === 0) return "No shape is in both runs, as far as the filters leave them.";
  const known = pairs.filter((pair) => pair.ratio !== null);
  if (known.length === 0) return `${count(pairs.length, "shape")} in both runs, none of them comparable.`;
  const mean = ratioText(meanOf(known.map((pair) => pair.ratio)));
  const number = (word) => known.filter((pair) => pair.word === word).length;
  const rest = pairs.length > known.length ? `, ${pairs.length - known.length} not comparable` : "";
  return (
    `New over base, geometric mean over ${count(known.length, "shape")}: ${mean}. ` +
    `${number("slower")} slower, ${number("faster")} faster, ${number("equal")} without a clear difference${rest}.`
  );
}

/** What is in one run only. */
function leftOut(shapes, found, runs) {
  return found.only.flatMap((rows, side) => {
    if (rows.length === 0) return [];
    const sizes = rows.slice(0, MOST_SIZES).map((row) => sizesText(shapes, row));
    const more = rows.length > sizes.length ? ` and ${rows.length - sizes.length} more` : "";
    return [`Not comparable, only in ${shapes.runs[runs[side]].name}: ${sizes.join(", ")}${more}`];
  });
}

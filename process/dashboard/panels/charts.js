// Beyond so many lines nobody tells them apart: then every shape is a point, up to so many of these.
const MOST_LINES = 40;
const MOST_POINTS = 1000;
const WIDE_SPAN = 8; // a logarithmic axis where the largest value is so many times the smallest
const UNITS = {
  batch: "sequences a batch",
  input: "tokens a sequence",
  latency: "milliseconds a batch",
  throughput: "sequences a second",
};
const CHARTS = [
  { id: "latency", title: "Latency", y: "latency" },
  { id: "throughput", title: "Throughput", y: "throughput" },
  { id: "serving", title: "What a larger batch costs, and what it gives", x: "latency", y: "throughput" },
];
const ACROSS = ["batch", "input"].map((name) => [name, NOUNS[name]]);
const SCALES = ["automatic", "linear", "logarithmic"].map((name) => [name, name]);

panel({
  id: "charts",
  title: "Latency and throughput",

  build(body, shapes) {
    this.shapes = shapes;
    this.rows = [];
    this.hidden = new Set(); // names in the legend
    this.turn = 0;
    const again = () => this.update(this.rows);
    this.across = choice("Across", ACROSS, again);
    if (shapes.distinct("input").length > shapes.distinct("batch").length) this.across.select.value = "input";
    this.colour = choice("Colour by", [["", "automatic"]], again);
    this.scale = choice("Scale", SCALES, again);
    this.places = CHARTS.map((chart) => make("div", { id: `chart-${chart.id}`, class: "plot" }));
    const zoom = zoomButtons(() => this.places);
    this.legend = make("div", { class: "legend" });
    this.note = make("p", { class: "note" }, "The charts are loading.");
    const figures = CHARTS.map(({ title }, number) => {
      const label = `${title}: the table below has these figures`;
      return make("figure", { "aria-label": label }, make("figcaption", {}, title), this.places[number]);
    });
    this.figures = make("div", { class: "figures" }, ...figures);
    const controls = make("div", { class: "controls" }, this.across.field, this.colour.field, this.scale.field, zoom);
    body.append(controls, this.legend, this.note, this.figures);
    whenRecoloured(again);
  },

  async update(rows) {
    const turn = ++this.turn;
    this.rows = rows;
    await plotly();
    if (turn !== this.turn) return; // a later choice is on its way
    const { shapes } = this;
    const drawable = rows.filter((row) => isPoint(shapes, row));
    this.figures.hidden = this.legend.hidden = drawable.length === 0;
    if (drawable.length === 0) {
      this.note.textContent = rows.length ? "None of these shapes has a latency to draw." : ALL_HIDDEN;
      return;
    }
    const across = this.across.select.value;
    const lines = linesOf(shapes, drawable, across);
    const asLines = lines.length <= MOST_LINES;
    const look = lookOf(shapes, lines, this.chooseColour(drawable, across), across);
    this.drawLegend(look, asLines);
    const drawn = asLines ? lines : pointsOf(lines, look, MOST_POINTS);
    this.note.textContent = this.explain(lines, drawn, rows.length - drawable.length);
    const seen = drawn.filter((line) => !this.hidden.has(look.names[look.colour(line)]));
    for (const [number, chart] of CHARTS.entries()) {
      await this.drawChart(chart, this.places[number], seen, look, asLines ? lineTrace : pointsTrace);
      if (turn !== this.turn) return;
    }
  },

  /** Offer what differs among the rows to colour by, and return what is chosen, else the first that suits. */
  chooseColour(rows, across) {
    const counts = new Map(Object.keys(NOUNS).map((name) => [name, this.shapes.distinct(name, rows).length]));
    const names = [...counts.keys()].filter((name) => counts.get(name) > 1 && name !== across);
    const fits = names.filter((name) => counts.get(name) <= COLOURS.length + 1);
    const first = fits[0] ?? names[0] ?? OTHER[across];
    fill(this.colour.select, [["", `automatic (${NOUNS[first]})`], ...names.map((name) => [name, NOUNS[name]])]);
    return this.colour.select.value || first;
  },

  /** A button for each colour, which hides and shows it; and what the markers mean. */
  drawLegend(look, asLines) {
    const toggles = look.names.map((name, place) => {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = look.colours[place];
      const on = !this.hidden.has(name);
      const toggle = button("", () => this.toggle(name), { "aria-pressed": String(on), class: "toggle" });
      toggle.append(swatch, name);
      return toggle;
    });
    const focused = [...this.legend.querySelectorAll("button")].indexOf(document.activeElement);
    const marks = look.marks.map((name, place) => `${SIGNS[place % SIGNS.length]} ${name}`).join("  ");
    const signs = asLines && look.marks.length > 1 ? `${look.markNoun}: ${marks}` : "";
    this.legend.replaceChildren(make("span", {}, `${look.noun}:`), ...toggles, make("span", { class: "signs" }, signs));
    toggles[focused]?.focus();
  },

  toggle(name) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    this.update(this.rows);
  },

  drawChart(chart, place, lines, look, trace) {
    const { shapes } = this;
    const across = this.across.select.value;
    const y = (row) => shapes[chart.y](row);
    const x = chart.x ? (row) => shapes[chart.x](row) : (row) => Array(3).fill(shapes.value(row, across));
    const traces = lines.map((line) => trace(shapes, line, x, y, look)).filter((one) => one.x.length);
    const values = (name) => traces.flatMap((one) => one[name]);
    const sizes = [...new Set(values("x"))].sort((one, other) => one - other);
    const scale = chart.x ? this.scaleOf(sizes) : { log: true, ticks: sizeTicks(sizes, roomIn(place)) };
    const up = { title: UNITS[chart.y], ...this.scaleOf(values("y")) };
    return draw(place, traces, { title: UNITS[chart.x ?? across], ...scale }, up);
  },

  /** Whether the axis of these values is logarithmic, and how many times the smallest the largest is. */
  scaleOf(values) {
    let [low, high] = [Infinity, 0];
    for (const value of values) if (value > 0) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const chosen = this.scale.select.value;
    return { log: chosen === "automatic" ? high > WIDE_SPAN * low : chosen === "logarithmic", span: high / low };
  },

  /** What the signs mean, and what is not drawn. */
  explain(lines, drawn, without) {
    const { shapes } = this;
    const rows = lines.flat();
    const [all, some] = [rows.length, drawn.flat().length];
    const parts = [];
    if (lines.length > MOST_LINES) {
      const share = some < all ? `of ${all.toLocaleString("en")}, picked by lot, ` : "";
      parts.push(
        `${count(some, "shape")} ${share}as points: they would be ${lines.length.toLocaleString("en")} lines.`,
      );
      parts.push(`With the filters at ${MOST_LINES} lines or fewer, lines and intervals are drawn.`);
    } else if (rows.some((row) => shapes.interval(row) !== null)) parts.push("Bars: 95% interval.");
    if (rows.some((row) => trust(shapes, row).kind !== "stable"))
      parts.push("Hollow: not to be trusted, see the table.");
    if (without) parts.push(`${count(without, "shape")} without a latency cannot be drawn.`);
    parts.push("Drag over a chart to zoom, double-click for the whole range.");
    return parts.join(" ");
  },
});

const NOUNS = {
  configuration: "configuration",
  run: "run",
  model: "model",
  "environment.platform": "platform",
  precision: "precision",
  variant: "variant",
  batch: "batch size",
  input: "input size",
};
const OTHER = { batch: "input", input: "batch" };
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
const EVERY = "*"; // the choice of all models, or of all sizes
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
    this.model = choice("Model", [], again);
    this.across = choice("Across", ACROSS, again);
    if (shapes.distinct("input").length > shapes.distinct("batch").length) this.across.select.value = "input";
    this.size = choice("Size", [], again);
    this.all = button("Draw everything", () => {
      this.model.select.value = this.size.select.value = EVERY;
      again();
    });
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
    const chosen = [this.model, this.size, this.across, this.colour, this.scale].map(({ field }) => field);
    body.append(make("div", { class: "controls" }, ...chosen, this.all, zoom), this.legend, this.note, this.figures);
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
    const asked = this.ask(drawable, across);
    const lines = linesOf(shapes, asked, across);
    const asLines = lines.length <= MOST_LINES;
    const look = lookOf(shapes, lines, this.chooseColour(asked, across), across);
    this.drawLegend(look, asLines);
    const drawn = asLines ? lines : pointsOf(lines, look, MOST_POINTS);
    this.all.hidden = asked.length === drawable.length;
    this.note.textContent = this.explain(lines, drawn, rows.length - drawable.length, drawable.length - asked.length);
    const seen = drawn.filter((line) => !this.hidden.has(look.names[look.name(line)]));
    for (const [number, chart] of CHARTS.entries()) {
      await this.drawChart(chart, this.places[number], seen, look, asLines ? lineTrace : pointsTrace);
      if (turn !== this.turn) return;
    }
  },

  /** The rows that the question is of: at first one model and one size, the largest that most of its runs have. */
  ask(rows, across) {
    const { shapes } = this;
    const other = OTHER[across];
    const runs = (some) => shapes.distinct("run", some).length;
    const most = (name, among) => {
      const values = shapes.distinct(name, among).reverse();
      const found = values.map((value) => [value, runs(among.filter((row) => shapes.value(row, name) === value))]);
      return found.reduce((best, one) => (one[1] > best[1] ? one : best))[0];
    };
    const narrow = ({ field, select }, name, every, among) => {
      const values = shapes.distinct(name, among);
      const known = [...select.options].map(({ value }) => value);
      const kept = select.value === EVERY || values.map(String).includes(select.value);
      fill(select, [...values.map((value) => [value, shapes.say(name, value)]), [EVERY, every]]);
      if (!kept || known.length === 0) select.value = most(name, among);
      field.hidden = values.length < 2;
      return select.value === EVERY ? among : among.filter((row) => String(shapes.value(row, name)) === select.value);
    };
    this.size.field.firstChild.textContent = NOUNS[other][0].toUpperCase() + NOUNS[other].slice(1);
    return narrow(this.size, other, "all sizes", narrow(this.model, "model", "all models", rows));
  },

  /** Offer what differs among the rows to colour by, and return what is chosen, else the first that suits. */
  chooseColour(rows, across) {
    const counts = new Map(Object.keys(NOUNS).map((name) => [name, this.shapes.distinct(name, rows).length]));
    const names = [...counts.keys()].filter((name) => counts.get(name) > 1 && name !== across);
    const fits = names.filter((name) => counts.get(name) <= mostNames(this.shapes, rows, across));
    const first = fits[0] ?? names[0] ?? OTHER[across];
    fill(this.colour.select, [["", `automatic (${NOUNS[first]})`], ...names.map((name) => [name, NOUNS[name]])]);
    return this.colour.select.value || first;
  },

  /** A button for each colour, which hides and shows it; and what the markers mean. */
  drawLegend(look, asLines) {
    const toggles = look.names.map((name, place) => {
      const swatch = make("span", { class: "point", "aria-hidden": "true" }, SIGNS[look.signs[place]]);
      swatch.style.color = look.colours[place];
      const on = !this.hidden.has(name);
      const toggle = button("", () => this.toggle(name), { "aria-pressed": String(on), class: "toggle" });
      toggle.append(swatch, name);
      return toggle;
    });
    const focused = [...this.legend.querySelectorAll("button")].indexOf(document.activeElement);
    const marks = look.marks.map((name, place) => `${SIGNS[place % SIGNS.length]} ${name}`).join("  ");
    const further = look.again ? "dashes: measured again" : "";
    const signs = asLines && look.marks.length > 1 ? `${look.markNoun}: ${marks}` : further;
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
  explain(lines, drawn, without, unasked) {
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
    if (unasked) parts.push(`${count(unasked, "further shape")} of other models and sizes: draw everything.`);
    if (without) parts.push(`${count(without, "shape")} without a latency cannot be drawn.`);
    parts.push("Drag over a chart to zoom, double-click for the whole range.");
    return parts.join(" ");
  },
});

/** Whether a row can be a point of a chart. */
function isPoint(shapes, row) {
  return shapes.value(row, "input") > 0 && shapes.value(row, "batch") > 0 && shapes.latency(row)?.[0] > 0;
}

/** Rows as lines: one for each run and each size of the other kind. Of a shape measured twice the last counts. */
function linesOf(shapes, rows, across) {
  const found = new Map();
  for (const row of rows) {
    const key = `${shapes.value(row, "run")} ${shapes.value(row, OTHER[across])}`;
    if (!found.has(key)) found.set(key, new Map());
    found.get(key).set(shapes.value(row, across), row);
  }
  return [...found.values()].map((line) => [...line].sort(([one], [other]) => one - other).map(([, row]) => row));
}

/**
 * The points of lines, all those of a colour together; where there are more than `most`, some by lot, always the same.
 * Every tenth row would often be that of one batch size.
 */
function pointsOf(lines, look, most) {
  const points = lines.flatMap((line) => line.map((row) => ({ row, colour: look.name(line) })));
  if (points.length > most) points.sort((one, other) => lot(one.row) - lot(other.row));
  const found = look.names.map(() => []);
  for (const { row, colour } of points.slice(0, most)) found[colour].push(row);
  return found.filter((line) => line.length);
}

/** A number that looks like chance: a multiplicative hash (Knuth, The Art of Computer Programming, 6.4). */
function lot(row) {
  return Math.imul(row + 1, 2654435761) >>> 0;
}

/** How many names there are signs for: colours, and where the lines are all of one size, markers in each colour. */
function mostNames(shapes, rows, across) {
  const single = shapes.distinct(OTHER[across], rows).length === 1;
  return (COLOURS.length + 1) * (single ? MARKERS.length : 1);
}

/**
 * What tells lines apart: colours by the column `by`; markers and dashes by the sizes, or by the runs where the sizes
 * have the colours. Of lines of one size, markers tell apart what there are not enough colours for, and dashes the runs
 * of the same. The rest is grey.
 */
function lookOf(shapes, lines, by, across) {
  const first = lines.map((line) => line[0]);
  const marked = by === OTHER[across] ? "run" : OTHER[across];
  const [values, marks] = [by, marked].map((name) => shapes.distinct(name, first));
  const [rank, markRank] = [values, marks].map((some) => new Map(some.map((value, place) => [value, place])));
  const palette = colours();
  const most = Math.min(values.length, mostNames(shapes, first, across));
  const names = values.slice(0, most).map((value) => shapes.say(by, value));
  if (values.length > most) names.push(`${values.length - most} more`);
  const name = (line) => Math.min(rank.get(shapes.value(line[0], by)), most);
  const sign = (place) => Math.floor(place / palette.length) % MARKERS.length;
  const before = (line) => lines.slice(0, lines.indexOf(line)).filter((one) => name(one) === name(line)).length;
  return {
    noun: NOUNS[by],
    names,
    colours: names.map((_, place) => (place < most ? palette[place % palette.length] : styled("--muted"))),
    signs: names.map((_, place) => sign(place)),
    name,
    markNoun: NOUNS[marked],
    marks: marks.map((value) => shapes.say(marked, value)),
    mark: (line) => (marks.length > 1 ? markRank.get(shapes.value(line[0], marked)) : sign(name(line)) + MARKERS.length * before(line)),
    again: marks.length === 1 && lines.length > values.length,
  };
}

/** A line as plotly draws it: a figure that should not be trusted is hollow. `x` and `y` give [middle, low, high]. */
function lineTrace(shapes, line, x, y, look) {
  const rows = line.filter((row) => y(row) !== null);
  const [colour, mark] = [look.colours[look.name(line)], look.mark(line)];
  const [across, up] = [rows.map(x), rows.map(y)];
  return {
    ...pointTrace(shapes, rows, across, up, colour, MARKERS[mark % MARKERS.length], 8),
    mode: "lines+markers",
    line: { color: colour, width: 1.5, dash: DASHES[Math.floor(mark / MARKERS.length) % DASHES.length] },
    error_x: bars(across, colour),
    error_y: bars(up, colour),
  };
}

/** The points of one colour as plotly draws them. */
function pointsTrace(shapes, points, x, y, look) {
  const rows = points.filter((row) => y(row) !== null);
  const trace = pointTrace(shapes, rows, rows.map(x), rows.map(y), look.colours[look.name(points)], "circle", 5);
  return { ...trace, opacity: 0.7 };
}

function pointTrace(shapes, rows, across, up, color, symbol, size) {
  return {
    type: "scatter",
    mode: "markers",
    x: across.map(([value]) => value),
    y: up.map(([value]) => value),
    marker: {
      color,
      size,
      line: { width: 1.5, color },
      symbol: rows.map((row) => (trust(shapes, row).kind === "stable" ? symbol : `${symbol}-open`)),
    },
    hoverinfo: "text",
    hovertext: rows.map((row) => hoverOf(shapes, row)),
  };
}

/** What is said of a point under the mouse. */
function hoverOf(shapes, row) {
  const throughput = shapes.throughput(row);
  const texts = [
    shapes.run(row),
    shapes.value(row, "model"),
    `input ${shapes.value(row, "input")}, batch ${shapes.value(row, "batch")}`,
    `${plusMinus(shapes.latency(row))} ms a batch`,
    throughput && `${plusMinus(throughput)} sequences a second`,
    trust(shapes, row).text,
  ];
  return texts.filter(Boolean).map(plain).join("<br>");
}

const NOUNS = {
  run: "run",
  model: "model",
  "environment.platform": "platform",
  precision: "precision",
  variant: "variant",
  batch: "batch size",
  input: "input size",
};
const OTHER = { batch: "input", input: "batch" };

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
  const points = lines.flatMap((line) => line.map((row) => ({ row, colour: look.colour(line) })));
  if (points.length > most) points.sort((one, other) => lot(one.row) - lot(other.row));
  const found = look.names.map(() => []);
  for (const { row, colour } of points.slice(0, most)) found[colour].push(row);
  return found.filter((line) => line.length);
}

/** A number that looks like chance: a multiplicative hash (Knuth, The Art of Computer Programming, 6.4). */
function lot(row) {
  return Math.imul(row + 1, 2654435761) >>> 0;
}

/**
 * What tells lines apart: colours by the column `by`; markers and dashes by the sizes, or by the runs where the sizes
 * have the colours. What there is no colour left for is grey.
 */
function lookOf(shapes, lines, by, across) {
  const say = (name, value) => (name === "run" ? shapes.runs[value].name : String(value ?? "unknown"));
  const first = lines.map((line) => line[0]);
  const marked = by === OTHER[across] ? "run" : OTHER[across];
  const [values, marks] = [by, marked].map((name) => shapes.distinct(name, first));
  const [rank, markRank] = [values, marks].map((some) => new Map(some.map((value, place) => [value, place])));
  const palette = colours();
  const most = Math.min(values.length, palette.length);
  const names = values.slice(0, most).map((value) => say(by, value));
  if (values.length > most) names.push(`${values.length - most} more`);
  return {
    noun: NOUNS[by],
    names,
    colours: [...palette.slice(0, most), styled("--muted")],
    colour: (line) => Math.min(rank.get(shapes.value(line[0], by)), most),
    markNoun: NOUNS[marked],
    marks: marks.map((value) => say(marked, value)),
    mark: (line) => markRank.get(shapes.value(line[0], marked)),
  };
}

/** A line as plotly draws it: a figure that should not be trusted is hollow. `x` and `y` give [middle, low, high]. */
function lineTrace(shapes, line, x, y, look) {
  const rows = line.filter((row) => y(row) !== null);
  const [colour, mark] = [look.colours[look.colour(line)], look.mark(line)];
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
  const trace = pointTrace(shapes, rows, rows.map(x), rows.map(y), look.colours[look.colour(points)], "circle", 5);
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

/** Error bars; none where no value has an interval. */
function bars(bands, color) {
  return {
    type: "data",
    visible: bands.some(([, low, high]) => low < high),
    symmetric: false,
    array: bands.map(([middle, , high]) => high - middle),
    arrayminus: bands.map(([middle, low]) => middle - low),
    color,
    thickness: 1,
    width: 3,
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

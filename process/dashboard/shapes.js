/** A table of the page's data, by columns. */
class Columns {
  constructor(table) {
    this.size = table.size;
    this._packed = new Map(table.columns.map((column) => [column.name, column]));
    this._values = new Map();
  }

  /** The columns' names, in order. */
  get names() {
    return [...this._packed.keys()];
  }

  /** Whether a column holds nothing at all. */
  isEmpty(name) {
    return this.column(name).every((value) => value === null);
  }

  /** Every row's number. */
  get rows() {
    return Array.from({ length: this.size }, (_, row) => row);
  }

  /** A column's values, one a row; null where nothing is known. */
  column(name) {
    if (!this._values.has(name)) this._values.set(name, this._unpacked(this._packed.get(name)));
    return this._values.get(name);
  }

  _unpacked(column) {
    if (column === undefined) return new Array(this.size).fill(null);
    if (column.values) return column.values;
    if (!column.at) return new Array(this.size).fill(column.distinct[0] ?? null);
    return column.at.map((place) => column.distinct[place]);
  }

  /** What kind of value a column holds: truth, integer, number, text, numbers or texts. */
  kind(name) {
    return this._packed.get(name)?.kind;
  }

  /** A value. */
  value(row, name) {
    return this.column(name)[row];
  }

  /** The different values of a column in these rows, in order. */
  distinct(name, rows = this.rows) {
    const values = this.column(name);
    return [...new Set(rows.map((row) => values[row]))].sort(ordered);
  }
}

/** The measured shapes: the columns of `process --format csv`; beside them the run of each row, and its trust. */
class Shapes extends Columns {
  constructor(data) {
    super(data.shapes);
    this.runs = data.runs;
    this.circumstances = new Set(data.circumstances);
    this.found = data; // groups of records, tables of other workloads, comparisons: what Python computed
  }

  /** The columns of the CSV format. */
  get names() {
    return super.names.filter((name) => name !== "run" && name !== "trust");
  }

  /** The name of the run that a row is of. */
  run(row) {
    return this.runs[this.value(row, "run")].name;
  }

  /** Whether a column is a fact that may change from one run to the next on the same machine. */
  isCircumstance(name) {
    return this.circumstances.has(name.split(".")[1]);
  }

  /** What a value of a column is called. */
  say(name, value) {
    if (name === "run") return this.runs[value].name;
    return String((name === "configuration" ? this.found.configurations[value] : null) ?? value ?? "unknown");
  }

  /** The median in milliseconds, in all digits that the repetitions give; process/view.py says the same. */
  median(row) {
    const [said, found] = [this.value(row, "itl"), this.value(row, "statistics.p50")];
    return said === null || found === null || Math.abs(said - found) > 0.000500001 ? said : found;
  }

  /** Throughput in sequences a second, in all digits that the repetitions give; process/view.py says the same. */
  rate(row) {
    const [said, batch] = [this.value(row, "thp"), this.value(row, "batch")];
    if (said === null || !batch || !this.median(row) || this.value(row, "statistics.p50") === null) return said;
    const found = (1e3 * batch) / this.median(row);
    return Math.abs(said - found) > 0.0500001 ? said : found;
  }

  /** Latency with its interval, in milliseconds a batch: [middle, low, high], or null. */
  latency(row) {
    const itl = this.median(row);
    if (itl === null || this.value(row, "status") === "ERR") return null;
    return [itl, ...(this.interval(row) ?? [itl, itl])];
  }

  /** Throughput with its interval, in sequences a second: [middle, low, high], or null. */
  throughput(row) {
    const thp = this.rate(row);
    if (thp === null || this.value(row, "status") === "ERR") return null;
    const [low, high] = this.interval(row) ?? [0, 0];
    const batch = this.value(row, "batch");
    return low > 0 && batch ? [thp, (1e3 * batch) / high, (1e3 * batch) / low] : [thp, thp, thp];
  }

  /** The 95% interval of the median, or null. */
  interval(row) {
    const text = this.value(row, "statistics.interval");
    return text === null ? null : JSON.parse(text);
  }
}

/** Inflate what the page carries: zlib, in base64. */
async function unpack(id) {
  const signs = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(signs.length);
  for (let place = 0; place < signs.length; place += 1) bytes[place] = signs.charCodeAt(place);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}
/** A number rounded to where its uncertainty begins, else to three digits: fmbench/figures.py says the same. */
function significant(value, uncertainty = 0) {
  let place = leading(value, 3) - 2;
  if (uncertainty) place = Math.min(leading(uncertainty) - (uncertainty.toExponential(6)[0] === "1"), leading(value));
  const unit = 10 ** place;
  return place > 0 ? String(Number(fixed(value / unit, 0)) * unit) : fixed(value, Math.min(100, -place));
}

/** A number with so many decimals; one that lies half-way gets an even last digit, as Python has it. */
function fixed(value, digits) {
  const text = value.toFixed(digits);
  const halfWay = /^50*$/.test(value.toFixed(100).split(".")[1].slice(digits));
  return halfWay && text.at(-1) % 2 ? (Number(text) - 10 ** -digits).toFixed(digits) : text;
}

/** The decimal place of the first digit: 2 for 345, -1 for 0.3. */
function leading(value, digits = 7) {
  return Number(value.toExponential(digits - 1).split("e")[1]);
}

/** A median with half the width of its interval. */
function plusMinus([value, low, high]) {
  const half = (high - low) / 2;
  return half ? `${significant(value, half)} ± ${significant(half, half)}` : significant(value);
}

/** A ratio with its interval: 1.042 (1.031 to 1.053). */
function ratioText([value, low, high]) {
  const digits = value < 10 ? 3 : 1;
  const text = value.toFixed(digits);
  return low === undefined ? text : `${text} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
}

const TRUST = ["stable", "unstable", "partial", "simulated", "failed", "doubtful", "unknown"];

/** Whether a result can be trusted, and why not: one of TRUST and a sentence of Python's. */
function trust(shapes, row) {
  const text = shapes.value(row, "trust");
  const kind = TRUST.find((word) => text.split(":")[0] === word) ?? (text === "" ? "unknown" : "doubtful");
  return { kind, text };
}

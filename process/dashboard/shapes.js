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

/** The measured shapes: the columns of `process --format csv`, and beside them the run that each row is of. */
class Shapes extends Columns {
  constructor(data) {
    super(data.shapes);
    this.runs = data.runs;
    this.circumstances = new Set(data.circumstances);
  }

  /** The columns of the CSV format. */
  get names() {
    return super.names.filter((name) => name !== "run");
  }

  /** The rows of each run. */
  get rowsOfRuns() {
    const found = this.runs.map(() => []);
    for (const [row, run] of this.column("run").entries()) found[run].push(row);
    return found;
  }

  /** The name of the run that a row is of. */
  run(row) {
    return this.runs[this.value(row, "run")].name;
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

const MOST_RUNS = 8; // columns

panel({
  id: "fingerprints",
  title: "What measured: the fingerprint of each run",

  build(body, shapes) {
    this.shapes = shapes;
    this.rows = [];
    this.only = checkbox("Only what differs", () => this.update(this.rows), { id: "only-differing" });
    this.only.field.hidden = shapes.runs.length < 2;
    this.note = make("p", { class: "note" });
    this.head = make("thead");
    this.lines = make("tbody");
    const controls = make("div", { class: "controls" }, this.only.field);
    body.append(controls, this.note, framed("Fingerprints", this.head, this.lines));
  },

  update(rows) {
    const { shapes } = this;
    this.rows = rows;
    const first = new Map();
    for (const row of rows) if (!first.has(shapes.value(row, "run"))) first.set(shapes.value(row, "run"), row);
    const runs = [...first].sort(([one], [other]) => one - other).slice(0, MOST_RUNS);
    const facts = runs.length
      ? factsOf(
          shapes,
          runs.map(([, row]) => row),
        )
      : [];
    const heads = ["fact", ...runs.map(([run]) => shapes.runs[run].name)];
    this.head.replaceChildren(make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text))));
    const shown = this.only.input.checked ? facts.filter(({ word }) => word !== "") : facts;
    this.lines.replaceChildren(...shown.map(factLine));
    if (shown.length === 0) {
      const why = rows.length ? "These runs differ in nothing." : ALL_HIDDEN;
      this.lines.append(make("tr", {}, make("td", { colspan: heads.length, class: "empty" }, why)));
    }
    this.note.textContent = noteOfRuns(first.size, runs.length, facts);
  },
});

/**
 * Every fact that one of the runs has: its name, its values as texts, and a word where they differ: "differs", or
 * "varies" for what changes from run to run on one machine. The latter come last.
 */
function factsOf(shapes, rows) {
  const wordOf = (values, word) => (values.some((value) => value !== values[0]) ? word : "");
  const fact = (name, values, word) => ({ name, values, word: wordOf(values, word) });
  const facts = (names, word) =>
    names.map((name) => {
      const values = rows.map((row) => String(shapes.value(row, name) ?? ""));
      return fact(name.replace("environment.", ""), values, word);
    });
  const known = shapes.names.filter((name) => name.startsWith("environment."));
  const said = known.filter((name) => rows.some((row) => shapes.value(row, name) !== null));
  const log = rows.map((row) => shapes.runs[shapes.value(row, "run")].log);
  const words = rows.map((row) => JSON.parse(shapes.value(row, "opts") ?? "[]").join("\n"));
  return [
    fact("log", log, "varies"),
    fact("arguments", words, "varies"),
    ...facts(
      said.filter((name) => !shapes.isCircumstance(name)),
      "differs",
    ),
    ...facts(
      said.filter((name) => shapes.isCircumstance(name)),
      "varies",
    ),
  ];
}

function factLine({ name, values, word }) {
  const head = make("th", { scope: "row" }, name);
  if (word) head.append(" ", make("span", { class: "word" }, word === "differs" ? "≠ differs" : word));
  return make("tr", { class: word || null }, head, ...values.map((value) => make("td", {}, value)));
}

function noteOfRuns(all, shown, facts) {
  const cut = all > shown ? `The first ${shown} of ${all} runs are shown; filter by run to see others. ` : "";
  if (shown < 2) return cut;
  const differing = facts.filter(({ word }) => word === "differs").length;
  const say = differing
    ? `These runs differ in ${count(differing, "fact")}, marked ≠.`
    : "These runs differ in no fact that decides a figure.";
  return `${cut}${say} What may vary from run to run on one machine (load, clocks, the log) is marked so.`;
}

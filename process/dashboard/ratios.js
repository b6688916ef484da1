const MATCHED = ["model", "model_class", "input", "batch"];

/** The facts that differ between two runs, but for those that change from run to run: name and both values. */
function differences(shapes, one, other) {
  const facts = shapes.names.filter((name) => name.startsWith("environment.") && !isCircumstance(shapes, name));
  const models = MATCHED.slice(0, 2).filter((name) => !facts.includes(`environment.${name}`));
  return [...models, ...facts]
    .map((name) => ({
      name: name.replace("environment.", ""),
      values: [one, other].map((row) => shapes.value(row, name)),
    }))
    .filter(({ values: [left, right] }) => left !== right)
    .map(({ name, values }) => ({ name, values: values.map((value) => String(value ?? "not said")) }));
}

/** Whether a fact may change from one run to the next on the same machine. */
function isCircumstance(shapes, name) {
  return shapes.circumstances.has(name.split(".")[1]);
}

/**
 * The shapes of two runs: those of both, as pairs, and those of one only.
 *
 * They match by model, class and sizes, or by sizes alone. Of a shape that was measured twice the last counts; one
 * whose sizes no line says matches none.
 */
function matched(shapes, rows, runs, bySizes) {
  const names = bySizes ? MATCHED.slice(2) : MATCHED;
  const found = runs.map(() => new Map());
  for (const row of rows) {
    for (const [side, run] of runs.entries()) {
      if (shapes.value(row, "run") !== run) continue;
      const sized = shapes.value(row, "input") !== null && shapes.value(row, "batch") !== null;
      const key = sized ? JSON.stringify(names.map((name) => shapes.value(row, name))) : `unsized ${side} ${row}`;
      found[side].set(key, row);
    }
  }
  const [base, next] = found;
  const only = (one, other) => [...one].filter(([key]) => !other.has(key)).map(([, row]) => row);
  const pairs = [...base].filter(([key]) => next.has(key)).map(([key, row]) => ({ base: row, next: next.get(key) }));
  return { pairs, only: [only(base, next), only(next, base)] };
}

/** What became of a pair: the ratio or null, a verdict, doubts about it, and one word for its look. */
function judged(shapes, { base, next }, allowed) {
  const why = allowed ? hindrance(shapes, base, next) : "the fingerprints differ";
  if (why !== null) return { ratio: null, verdict: `not comparable: ${why}`, doubts: "", word: "none" };
  const ratio = ratioOf(precise(shapes, base), precise(shapes, next));
  const doubts = [
    [base, "base"],
    [next, "new"],
  ]
    .map(([row, name]) => [trust(shapes, row).kind, name])
    .filter(([kind]) => kind !== "stable" && kind !== "unknown")
    .map(([kind, name]) => `; ${name} is ${kind}`)
    .join("");
  if (ratio.length === 1) return { ratio, verdict: "no interval", doubts, word: "equal" };
  const word = ratio[1] > 1 ? "slower" : ratio[2] < 1 ? "faster" : "equal";
  return { ratio, verdict: word === "equal" ? "no clear difference" : word, doubts, word };
}

/** Why there is no ratio, or null. */
function hindrance(shapes, base, next) {
  const sides = Object.entries({ base, new: next });
  for (const [name, row] of sides) {
    if (shapes.value(row, "status") === "ERR") return `${name} ${trust(shapes, row).text}`;
    if (!(shapes.latency(row)?.[0] > 0)) return `${name} has no latency`;
  }
  return null;
}

/** A row's median and interval from the repetitions, which has more digits than the result line; else that line's. */
function precise(shapes, row) {
  const interval = shapes.interval(row);
  const p50 = shapes.value(row, "statistics.p50");
  return p50 > 0 && interval !== null && interval[0] > 0 ? [p50, ...interval] : [shapes.latency(row)[0]];
}

/**
 * The ratio of two medians with its interval: [ratio, low, high], or [ratio] where one has none.
 *
 * The interval of a difference from the intervals of its terms, on logarithms: Zou and Donner (2008), Construction of
 * confidence limits about effect measures, Statistics in Medicine 27.
 */
function ratioOf(base, next) {
  const ratio = Math.log(next[0] / base[0]);
  if (base.length === 1 || next.length === 1) return [Math.exp(ratio)];
  const down = Math.hypot(Math.log(next[0] / next[1]), Math.log(base[2] / base[0]));
  const up = Math.hypot(Math.log(next[2] / next[0]), Math.log(base[0] / base[1]));
  return [Math.exp(ratio), Math.exp(ratio - down), Math.exp(ratio + up)];
}

/** The geometric mean of ratios, with its interval (as above) where all of them have one. */
function meanOf(ratios) {
  const logs = ratios.map((ratio) => ratio.map(Math.log));
  const mean = logs.reduce((total, [value]) => total + value, 0) / logs.length;
  if (ratios.some((ratio) => ratio.length === 1)) return [Math.exp(mean)];
  const half = (bound) => Math.sqrt(logs.reduce((total, log) => total + (log[bound] - log[0]) ** 2, 0)) / logs.length;
  return [Math.exp(mean), Math.exp(mean - half(1)), Math.exp(mean + half(2))];
}

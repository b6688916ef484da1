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

const TRUST = ["stable", "unstable", "partial", "simulated", "failed", "unknown"];

/** Whether a result can be trusted, and why not: one of TRUST and a sentence. process/view.py says the same. */
function trust(shapes, row) {
  const get = (name) => shapes.value(row, name);
  const status = get("status");
  if (status === "ERR") {
    const parts = ["failed", get("error.type"), get("error.message")];
    return { kind: "failed", text: parts.filter((part) => part !== null && part !== "").join(": ") };
  }
  const stable = get("statistics.stable");
  const doubts = [];
  if (status === "PARTIAL") {
    doubts.push(`partial: ${get("statistics.repetitions") ?? 0} of ${get("statistics.requested") || "?"} repetitions`);
  }
  if (status === "SIMULATED") doubts.push("simulated: no hardware computed it");
  if (stable === false) doubts.push(`unstable: ${get("statistics.reason") ?? "no reason given"}`);
  if (doubts.length) return { kind: doubts[0].split(":")[0], text: doubts.join("; ") };
  return stable ? { kind: "stable", text: "stable" } : { kind: "unknown", text: "" };
}

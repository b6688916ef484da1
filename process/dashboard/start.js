/** Say what the page holds, and how much of it is sound. */
function introduce(shapes, program) {
  const kinds = new Map();
  for (const row of shapes.rows) {
    const { kind } = trust(shapes, row);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const parts = TRUST.filter((kind) => kind !== "unknown" && kinds.has(kind)).map(
    (kind) => `${kinds.get(kind).toLocaleString("en")} ${kind}`,
  );
  const doubts = parts.length ? `: ${parts.join(", ")}` : "";
  document.getElementById("about").textContent = shapes.size
    ? `${count(shapes.size, "shape")} of ${count(shapes.runs.length, "run")}${doubts}. ${common(shapes)}`
    : "No results: the logs that this page was made from have none.";
  document.getElementById("program").textContent = `Made by ${program}. This page needs no network and sends nothing.`;
}

/** What every row has in common. */
function common(shapes) {
  const names = ["model", "environment.platform", "environment.device", "precision"];
  const values = names.map((name) => shapes.distinct(name)).filter((found) => found.length === 1 && found[0] !== null);
  const texts = [...new Set(values.map(([value]) => String(value)))];
  return texts.length ? `All of them: ${texts.join(", ")}.` : "";
}

/** Say how many rows the filters leave, and which filters hide the others. */
function report(shapes, filters, rows) {
  const hidden = shapes.size - rows.length;
  const by = hidden ? `; ${count(hidden, "shape")} hidden by: ${filters.labels().join(", ")}` : "";
  document.getElementById("shown").textContent =
    `${rows.length.toLocaleString("en")} of ${count(shapes.size, "shape")} shown${by}.`;
}

/** Build the page. What marks say when is for who measures it. */
async function start() {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old; Chrome 103, Firefox 113, Safari 16.4 and later can");
  }
  const data = JSON.parse(await unpack("data"));
  const shapes = new Shapes(data);
  introduce(shapes, data.program);
  const updates = [];
  const filters = new Filters(shapes, () => update());
  const update = () => {
    const rows = filters.rows();
    report(shapes, filters, rows);
    return Promise.all(updates.map((one) => one(rows)));
  };
  if (shapes.size > 1) {
    const wide = window.matchMedia("(min-width: 900px)").matches;
    const fold = make("details", { open: wide }, make("summary", {}, "Filters"), filters.form);
    document.getElementById("filters").append(fold);
  }
  for (const definition of shapes.size ? panels : []) updates.push(place(definition, shapes));
  const whole = update();
  performance.mark("fmbench-table");
  await whole;
  performance.mark("fmbench-charts");
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  document.getElementById("about").textContent = `This page cannot be shown: ${error.message}`;
});

const panels = [];
const ALL_HIDDEN = "Every shape is hidden by the filters.";

/**
 * Add a panel: a part of the page that shows the rows which the filters leave. It is one file in panels/, named in
 * page.py, or the `panel` of a workload, which is on the page where there are results of it. It knows no other panel.
 *
 * id      of its section
 * title   its heading
 * build   (body, shapes): called once, puts its controls into the section
 * update  (rows): called with the numbers of the rows, at first and after every change of the filters;
 *         may return a promise
 * empty   (shapes): a sentence to show instead where the page has nothing for this panel, "" to leave the panel out,
 *         else null; optional
 */
function panel(definition) {
  panels.push(definition);
}

/** Put a panel's section on the page, and a link to it. A panel that fails says so, and leaves the others alone. */
function place(definition, shapes) {
  const missing = definition.empty?.(shapes) ?? null;
  if (missing === "") return async () => {};
  const body = make("div", { class: "body" });
  const failure = make("p", { class: "notice", hidden: true });
  const heading = make("h2", { id: `${definition.id}-title` }, definition.title);
  const section = make("section", { id: definition.id, "aria-labelledby": heading.id }, heading, failure, body);
  document.getElementById("results").append(section);
  document.getElementById("contents").append(make("a", { href: `#${definition.id}` }, definition.title));
  const fail = (error) => {
    failure.hidden = false;
    failure.textContent = `This panel cannot be shown: ${error.message}`;
  };
  if (missing !== null) {
    body.append(make("p", { class: "empty" }, missing));
    return async () => {};
  }
  try {
    definition.build(body, shapes);
  } catch (error) {
    fail(error);
    return async () => {};
  }
  return async (rows) => {
    try {
      await definition.update(rows);
      failure.hidden = true;
    } catch (error) {
      fail(error);
    }
  };
}

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

/** Build the page: called when every panel was added. What marks say when is for who measures it. */
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

/** Say why there is no page. */
function giveUp(error) {
  document.getElementById("about").textContent = `This page cannot be shown: ${error.message}`;
}

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

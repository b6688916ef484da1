panel({
  id: "workloads",
  title: "Beside speed",

  empty(shapes) {
    return shapes.found.workloads.length ? null : "";
  },

  build(body, shapes) {
    for (const { name, tables } of shapes.found.workloads) {
      const parts = tables.flatMap((table) => [
        ...(table.title ? [make("h4", {}, table.title)] : []),
        ...table.lead.map((text) => make("p", {}, text)),
        ...tableOf(name, table),
        ...table.code.map((text) => make("pre", {}, text)),
      ]);
      body.append(make("h3", {}, name), ...parts);
    }
    body.append(make("p", { class: "note" }, "These are the tables of fmbench show; the filters leave them whole."));
  },

  update() {},
});

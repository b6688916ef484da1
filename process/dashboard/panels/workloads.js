panel({
  id: "workloads",
  title: "Beside speed",

  empty(shapes) {
    return shapes.found.workloads.length ? null : "";
  },

  build(body, shapes) {
    for (const { name, tables } of shapes.found.workloads) {
      body.append(make("h3", {}, name), ...tables.flatMap((table) => tableOf(name, table)));
    }
    body.append(make("p", { class: "note" }, "These are the tables of fmbench show; the filters leave them whole."));
  },

  update() {},
});

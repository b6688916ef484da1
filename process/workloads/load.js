const ANSWERED = "load.requests_per_second";
const PERCENTILES = ["p50", "p99"];
const SERVED = ["model", "environment.platform", "precision", "load.scenario"];

panel({
  id: "load",
  title: "Latency under load",

  empty(shapes) {
    return shapes.isEmpty(ANSWERED) ? "" : null;
  },

  build(body, shapes) {
    this.shapes = shapes;
    this.rows = [];
    this.note = make("p", { class: "note" });
    this.places = PERCENTILES.map((name) => make("div", { id: `chart-load-${name}`, class: "plot" }));
    const figures = PERCENTILES.map((name, number) => {
      const label = `${name} over requests a second: a table above has these figures`;
      const caption = make("figcaption", {}, `${name} of all requests`);
      return make("figure", { "aria-label": label }, caption, this.places[number]);
    });
    body.append(this.note, make("div", { class: "figures" }, ...figures));
    whenRecoloured(() => this.update(this.rows));
  },

  async update(rows) {
    this.rows = rows;
    const { shapes } = this;
    const answered = rows.filter((row) => shapes.value(row, ANSWERED) !== null);
    this.note.textContent = answered.length
      ? "A line a service and scenario; bars are 95% intervals. A percentile that falls among failed requests has no point."
      : ALL_HIDDEN;
    await Promise.all(
      PERCENTILES.map((name, number) => {
        const known = answered.filter((row) => shapes.value(row, `load.latency_ms.${name}`) !== null);
        const names = [...new Set(known.map((row) => serviceOf(shapes, row)))];
        const runs = (service) => known.filter((row) => serviceOf(shapes, row) === service);
        const traces = names.map((service, place) => lineOf(shapes, service, runs(service), name, place));
        const axes = [{ title: "requests answered a second" }, { title: `${name}, milliseconds` }];
        return draw(this.places[number], traces, ...axes);
      }),
    );
  },
});

/** What is measured from one load to the next. */
function serviceOf(shapes, row) {
  const facts = SERVED.map((name) => shapes.value(row, name)).filter((text) => text !== null);
  return [...facts, `${shapes.value(row, "load.inputs_per_request")} a request`].join(", ");
}

function lineOf(shapes, service, runs, name, place) {
  const sorted = runs.sort((one, other) => shapes.value(one, ANSWERED) - shapes.value(other, ANSWERED));
  const values = sorted.map((row) => shapes.value(row, `load.latency_ms.${name}`));
  const interval = (row) => JSON.parse(shapes.value(row, `load.intervals.${name}`) ?? "null");
  const pairs = sorted.map((row, at) => interval(row) ?? [values[at], values[at]]);
  return {
    type: "scatter",
    mode: "lines+markers",
    x: sorted.map((row) => shapes.value(row, ANSWERED)),
    y: values,
    error_y: {
      type: "data",
      symmetric: false,
      array: pairs.map(([, high], at) => high - values[at]),
      arrayminus: pairs.map(([low], at) => values[at] - low),
    },
    marker: { size: 9, color: colours()[place % colours().length], symbol: MARKERS[place % MARKERS.length] },
    line: { color: colours()[place % colours().length] },
    hovertext: sorted.map((row) => plain(`${service}: ${shapes.value(row, "variant")}`)),
    hovertemplate: "%{hovertext}<br>%{x:.4g} a second, %{y:.4g} ms<extra>\u003c/extra>",
  };
}

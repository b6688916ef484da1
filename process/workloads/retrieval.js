const METRIC = "retrieval.quality.metrics.ndcg_cut_10";
const METRIC_INTERVAL = "retrieval.quality.intervals.ndcg_cut_10";
const RATES = [
  { id: "documents", title: "documents encoded a second", column: "retrieval.passages.texts_per_second" },
  { id: "queries", title: "queries encoded a second", column: "retrieval.queries.texts_per_second" },
];
const NAMED = ["model", "environment.platform", "precision", "retrieval.dataset"];

panel({
  id: "quality",
  title: "Quality of retrieval against speed",

  empty(shapes) {
    return shapes.isEmpty(METRIC) ? "" : null;
  },

  build(body, shapes) {
    this.shapes = shapes;
    this.rows = [];
    this.note = make("p", { class: "note" });
    this.places = RATES.map(({ id }) => make("div", { id: `chart-quality-${id}`, class: "plot" }));
    const figures = RATES.map(({ title }, number) => {
      const label = `nDCG@10 over ${title}: a table above has these figures`;
      return make("figure", { "aria-label": label }, make("figcaption", {}, `nDCG@10 over ${title}`), this.places[number]);
    });
    body.append(this.note, make("div", { class: "figures" }, ...figures));
    whenRecoloured(() => this.update(this.rows));
  },

  async update(rows) {
    this.rows = rows;
    const { shapes } = this;
    const judged = rows.filter((row) => shapes.value(row, METRIC) !== null);
    this.note.textContent = judged.length
      ? "Bars are 95% intervals over queries. A result whose vectors came from the cache has no rate, and no point."
      : ALL_HIDDEN;
    await Promise.all(
      RATES.map(({ title, column }, number) => {
        const points = judged.filter((row) => shapes.value(row, column) !== null);
        return draw(this.places[number], points.map((row, place) => trace(shapes, row, column, place)), { title }, {
          title: "nDCG@10",
          zero: false,
        });
      }),
    );
  },
});

function trace(shapes, row, column, place) {
  const value = shapes.value(row, METRIC);
  const [low, high] = JSON.parse(shapes.value(row, METRIC_INTERVAL) ?? "null") ?? [value, value];
  const name = NAMED.map((fact) => shapes.value(row, fact)).filter((text) => text !== null).join(", ");
  return {
    type: "scatter",
    mode: "markers",
    x: [shapes.value(row, column)],
    y: [value],
    error_y: { type: "data", symmetric: false, array: [high - value], arrayminus: [value - low] },
    marker: { size: 9, color: colours()[place % colours().length], symbol: MARKERS[place % MARKERS.length] },
    hovertext: [plain(name)],
    hovertemplate: "%{hovertext}<br>%{x:.4g}, nDCG@10 %{y:.4f}<extra>\u003c/extra>",
  };
}

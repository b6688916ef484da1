const DOUBTFUL = "A figure with * is in doubt; a hollow point too.";

panel({
  id: "records",
  title: "Which configuration to run",

  empty(shapes) {
    return shapes.found.groups.length ? null : "No log here says what computed its figures, so nothing is a configuration.";
  },

  build(body, shapes) {
    this.shapes = shapes;
    const groups = shapes.found.groups.map(({ model, machine }, number) => [number, [model, machine].filter(Boolean).join(", ")]);
    this.group = choice("Model and machine", groups, () => this.update(this.rows));
    this.group.field.hidden = groups.length < 2;
    this.advice = make("p", { id: "advice", role: "status" });
    this.caption = make("figcaption");
    this.place = make("div", { id: "chart-records", class: "plot" });
    this.figure = make("figure", { "aria-label": "The table below has these figures" }, this.caption, this.place);
    this.note = make("p", { class: "note" });
    this.frame = make("div");
    body.append(make("div", { class: "controls" }, this.group.field), this.advice, this.frame, this.figure, this.note);
    whenRecoloured(() => this.update(this.rows));
  },

  async update(rows) {
    this.rows = rows;
    const group = this.shapes.found.groups[Number(this.group.select.value)];
    const left = new Set(this.shapes.distinct("configuration", rows));
    const places = group.records.map((_, place) => place).filter((place) => left.has(group.records[place].id));
    this.advice.textContent = group.advice;
    this.advice.hidden = group.advice === "";
    const lines = places.map((place) => group.table.lines[place]);
    this.frame.replaceChildren(...tableOf("Configurations", { ...group.table, lines }));
    for (const [line, row] of this.frame.querySelectorAll("tbody tr").entries()) mark(row, places[line]);
    const points = places.filter((place) => group.records[place].point.every((figure) => figure !== null));
    this.figure.hidden = group.axes.length < 2 || points.length === 0;
    this.note.textContent = this.explain(group, places, points);
    if (!this.figure.hidden) await this.drawPoints(group, points);
  },

  explain(group, places, points) {
    if (places.length === 0) return ALL_HIDDEN;
    const parts = [DOUBTFUL];
    if (group.axes.length < 2) parts.push("No configuration here has two figures to draw, so there is no picture.");
    else {
      parts.push("Bars: 95% interval.");
      if (group.records.filter(({ front }) => front).length > 1)
        parts.push("The line joins those that no other is faster and better than.");
      const without = places.length - points.length;
      if (without) parts.push(`${count(without, "configuration")} without both figures cannot be drawn.`);
    }
    return parts.join(" ");
  },

  drawPoints(group, places) {
    const [across, up] = group.axes;
    this.caption.textContent = `${up} over ${across}, a point a configuration`;
    const traces = places.map((place) => recordTrace(group, place));
    const front = places.filter((place) => group.records[place].front).map((place) => group.records[place].point);
    front.sort(([one], [other]) => one.value - other.value);
    traces.unshift({
      type: "scatter",
      mode: "lines",
      name: "front",
      x: front.map(([x]) => x.value),
      y: front.map(([, y]) => y.value),
      line: { color: styled("--muted"), width: 1.5, dash: "dot" },
      hoverinfo: "skip",
    });
    const values = places.map((place) => group.records[place].point[0].value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const x = { title: across, log: low > 0 && high > WIDE_SPAN * low, span: high / low };
    return draw(this.place, traces, x, { title: up, log: false, zero: false });
  },
});

/** The colour and the marker of a configuration, by its place in the table. */
function signOf(place) {
  const palette = colours();
  const marker = Math.floor(place / palette.length) % MARKERS.length;
  return { color: palette[place % palette.length], symbol: MARKERS[marker], sign: SIGNS[marker] };
}

/** Put the sign of its point before the first cell of a line. */
function mark(row, place) {
  const { color, sign } = signOf(place);
  const swatch = make("span", { class: "point", "aria-hidden": "true" }, `${sign} `);
  swatch.style.color = color;
  row.cells[0].prepend(swatch);
}

function recordTrace(group, place) {
  const { id, name, point } = group.records[place];
  const { color, symbol } = signOf(place);
  const bands = point.map(({ value, low, high }) => [[value, low, high]]);
  const doubt = point.map((figure) => figure.doubt).find(Boolean);
  const texts = [`${name} (${id})`, ...point.map(({ text }, axis) => `${group.axes[axis]}: ${text}`), doubt];
  return {
    type: "scatter",
    mode: "markers",
    name: id,
    x: [point[0].value],
    y: [point[1].value],
    error_x: bars(bands[0], color),
    error_y: bars(bands[1], color),
    marker: { color, size: 11, symbol: doubt ? `${symbol}-open` : symbol, line: { width: 2, color } },
    hoverinfo: "text",
    hovertext: [texts.filter(Boolean).map(plain).join("<br>")],
  };
}

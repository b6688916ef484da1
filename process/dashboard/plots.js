const TICK_WIDTH = 58; // pixels
const MARGIN = { l: 78, r: 12, t: 32, b: 52 };
const SMALL = { l: 54, r: 8, t: 32, b: 44 }; // where a plot has less room than NARROW
const NARROW = 360;
const MOST_HOVERED = 60; // letters a line under the mouse
let loading = null;

/** Load plotly, once: the page carries it deflated. */
function plotly() {
  loading ??= unpack("plotly").then((text) => {
    document.head.append(make("script", {}, text));
    return window.Plotly;
  });
  return loading;
}

/** Call back when the reader changes between light and dark. */
function whenRecoloured(callback) {
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
}

/** A text as plotly must get it to show it as it is: plotly reads some HTML in the texts that it draws. */
function plain(text) {
  const short = text.length > MOST_HOVERED ? `${text.slice(0, MOST_HOVERED - 1)}…` : text;
  return short.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

// Okabe and Ito (2008), Color Universal Design: told apart with every kind of colour vision. Their black is --strong.
const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"];
const MARKERS = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "x"];
const SIGNS = ["●", "■", "▲", "◆", "✚", "▼", "✖"];
const DASHES = ["solid", "dash", "dot", "dashdot"];

// What plotly offers above a chart. Left to itself it also offers to send the data to its maker.
const BUTTONS = [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]];

/** A colour of the page's style, which follows the reader's choice of light or dark. */
function styled(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The colours of lines, seven of them. */
function colours() {
  return [...COLOURS, styled("--strong")];
}

/** Draw a plot. Axes are { title, log, ticks }. */
async function draw(place, traces, x, y, more = {}) {
  const library = await plotly();
  const narrow = place.clientWidth < NARROW;
  const layout = {
    font: { color: styled("--text"), size: narrow ? 10 : 12, family: "system-ui, sans-serif" },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: narrow ? SMALL : MARGIN,
    height: narrow ? 280 : 360,
    showlegend: false,
    hovermode: "closest",
    dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: styled("--line"), activecolor: styled("--accent") },
    hoverlabel: {
      bgcolor: styled("--card"),
      bordercolor: styled("--line"),
      font: { color: styled("--text") },
      align: "left",
    },
    xaxis: axis(x),
    yaxis: axis(y),
    ...more,
  };
  const configuration = {
    responsive: true,
    displaylogo: false,
    typesetMath: false,
    modeBarButtons: BUTTONS,
    plotlyServerURL: "",
    toImageButtonOptions: { filename: `fmbench-${place.id}`, scale: 2 },
  };
  await library.react(place, traces, layout, configuration);
}

/** An axis: logarithmic or not, from zero or not; with ticks at these places where they are given. */
function axis({ title, log, span = 1, ticks = null, zero = true }) {
  return {
    title: { text: title, standoff: 8 },
    type: log ? "log" : "linear",
    rangemode: log || !zero ? "normal" : "tozero",
    zeroline: zero,
    gridcolor: styled("--grid"),
    linecolor: styled("--line"),
    zerolinecolor: styled("--line"),

    ...(ticks ? { tickvals: ticks.map(([place]) => place), ticktext: ticks.map(([, text]) => text) } : {}),
    ...(log && !ticks ? { dtick: span > 100 ? 1 : "D2", exponentformat: "none" } : {}),
  };
}

/** How many ticks a plot has room for. */
function roomIn(place) {
  return Math.max(3, Math.floor((place.clientWidth - MARGIN.l) / TICK_WIDTH));
}

/** Ticks at sizes on a logarithmic axis, as many as have room. */
function sizeTicks(sizes, most) {
  const room = Math.log(sizes.at(-1) / sizes[0]) / most;
  let last = -Infinity;
  return sizes
    .filter((size) => Math.log(size) - last > room && ((last = Math.log(size)), true))
    .map((size) => [size, String(size)]);
}

/** Buttons that do with the keyboard what dragging does with the mouse. */
function zoomButtons(places) {
  const zoom = (factor) => async () => {
    const library = await plotly();
    for (const place of places().filter((one) => one.layout))
      library.relayout(place, factor ? scaled(place.layout, factor) : RESET);
  };
  return make(
    "div",
    { class: "buttons", role: "group", "aria-label": "Zoom" },
    button("Zoom in", zoom(0.6)),
    button("Zoom out", zoom(1 / 0.6)),
    button("Whole range", zoom(null)),
  );
}

const RESET = { "xaxis.autorange": true, "yaxis.autorange": true };

function scaled(layout, factor) {
  const range = ([low, high]) => {
    const [middle, half] = [(low + high) / 2, ((high - low) / 2) * factor];
    return [middle - half, middle + half];
  };
  return { "xaxis.range": range(layout.xaxis.range), "yaxis.range": range(layout.yaxis.range) };
}

/** Error bars; none where no value has an interval. */
function bars(bands, color) {
  return {
    type: "data",
    visible: bands.some(([, low, high]) => low < high),
    symmetric: false,
    array: bands.map(([middle, , high]) => high - middle),
    arrayminus: bands.map(([middle, low]) => middle - low),
    color,
    thickness: 1,
    width: 3,
  };
}

/* Draws figures in the page's colours, light or dark, those near the reader first. */
const figures = JSON.parse(document.getElementById("figures").textContent);
const zooms = {}; // the ranges that the reader has chosen, by figure and axis
let due = false; // whether the next figure is drawn in a moment
const touch = matchMedia("(pointer: coarse)").matches;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function themed(layout) {
  const axis = { color: colour("--soft"), gridcolor: colour("--grid"), linecolor: colour("--line") };
  const halo = colour("--card") + "cc"; // keeps a label readable where lines cross it
  const found = {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    modebar: { bgcolor: halo, color: colour("--soft"), activecolor: colour("--ink") },
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("--ink") },
    hoverlabel: {
      ...layout.hoverlabel,
      bgcolor: colour("--card"), bordercolor: colour("--soft"), font: { color: colour("--ink") },
    },
    annotations: (layout.annotations || []).map((note) => ({ ...note, bgcolor: halo, borderpad: 1 })),
    dragmode: touch ? false : "zoom",
  };
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
    found[name] = { ...layout[name], ...axis, title: { ...layout[name].title, font: { size: 12.5 }, standoff: 8 } };
  }
  return found;
}

/* The layout with the ranges that the reader has chosen. */
function zoomed(layout, ranges = {}) {
  for (const [axis, range] of Object.entries(ranges)) layout[axis] = { ...layout[axis], range, autorange: false };
  return layout;
}

function noteZoom(id, changes) {
  const ranges = zooms[id] ??= {};
  for (const axis of ["xaxis", "yaxis"]) {
    const range = [changes[`${axis}.range[0]`], changes[`${axis}.range[1]`]];
    if (!range.includes(undefined)) ranges[axis] = range;
    else if (`${axis}.autorange` in changes || `${axis}.range` in changes) delete ranges[axis];
  }
}

/* Words in cells, and the gaps between bars, have the page's colours: plotly does not know what is behind it. */
function suited(trace) {
  if (trace.texttemplate) return { ...trace, textfont: { ...trace.textfont, color: colour("--ink") } };
  if (trace.type !== "bar") return trace;
  return { ...trace, marker: { ...trace.marker, line: { width: 1, ...trace.marker.line, color: colour("--card") } } };
}

function draw(place) {
  const figure = figures[place.id];
  const config = {
    displaylogo: false, displayModeBar: touch ? false : "hover",
    showSendToCloud: false, plotlyServerURL: "", // nobody's results leave this page by a button
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "pan2d", "zoom2d"],
  };
  Plotly.react(place, figure.data.map(suited), zoomed(themed(figure.layout), zooms[place.id]), config);
  for (const drawing of place.querySelectorAll("svg.main-svg")) drawing.ariaHidden = "true"; // its words say it
  const first = !place.dataset.drawn;
  place.dataset.drawn = place.clientWidth;
  if (!first) return;
  place.on("plotly_relayout", (changes) => noteZoom(place.id, changes));
  place.on("plotly_click", (event) => {
    const custom = event.points[0].customdata;
    const trial = Array.isArray(custom) ? custom[0] : custom;
    if (trial !== undefined) showTrial(trial);
  });
}

const charts = () => [...document.querySelectorAll(".chart")];

function away(place) {
  const { top, bottom } = place.getBoundingClientRect();
  return Math.max(0, top - innerHeight, -bottom);
}

/* Gives a figure the width that there is now; what the reader has chosen in it stays. */
function fit(place) {
  place.dataset.drawn = place.clientWidth;
  Plotly.relayout(place, { autosize: true });
}

/* Draws the figures that are not drawn yet, or for another width, one after the other, the nearest first. Plotly's own
   `responsive` would fit all of them at once, from the top of the page, and let nothing else happen meanwhile. */
function drawWaiting() {
  if (due || !window.Plotly) return;
  const waiting = charts().filter((place) => Number(place.dataset.drawn) !== place.clientWidth && !place.closest("[hidden]"));
  if (!waiting.length) return;
  const nearest = waiting.reduce((nearest, place) => (away(place) < away(nearest) ? place : nearest));
  (nearest.dataset.drawn ? fit : draw)(nearest);
  due = true;
  setTimeout(() => { // lets the browser answer between two figures
    due = false;
    drawWaiting();
  });
}

function redraw() {
  charts().filter((place) => place.dataset.drawn).forEach(draw);
}

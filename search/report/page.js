"use strict";
/* Draws the figures in the page's colours, sorts the table, opens rows. */
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const table = document.getElementById("trials");
  const touch = matchMedia("(pointer: coarse)").matches;

  function theme(layout) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { color: colour("--soft"), gridcolor: colour("--grid"), linecolor: colour("--line") };
    const halo = colour("--card") + "cc"; // keeps a label readable where lines cross it
    const themed = {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("--ink") },
      hoverlabel: {
        ...layout.hoverlabel,
        bgcolor: colour("--card"), bordercolor: colour("--soft"), font: { color: colour("--ink") },
      },
      annotations: (layout.annotations || []).map((note) => ({ ...note, bgcolor: halo, borderpad: 1 })),
      dragmode: touch ? false : "zoom",
    };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      themed[name] = { ...layout[name], ...axis, title: { ...layout[name].title, font: { size: 12.5 }, standoff: 8 } };
    }
    return themed;
  }

  function draw(place) {
    const figure = figures[place.id];
    const config = {
      responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "pan2d"],
    };
    Plotly.react(place, figure.data, theme(figure.layout), config);
    if (place.dataset.drawn) return;
    place.dataset.drawn = "yes";
    place.on("plotly_click", (event) => {
      const custom = event.points[0].customdata;
      const trial = Array.isArray(custom) ? custom[0] : custom;
      if (trial !== undefined) showTrial(trial);
    });
  }

  const drawn = () => [...document.querySelectorAll(".chart")].filter((place) => place.dataset.drawn);
  const waiting = () =>
    [...document.querySelectorAll(".chart")].find((place) => !place.dataset.drawn && !place.closest("[hidden]"));

  function drawWaiting() {
    const place = waiting();
    if (!place) return;
    draw(place);
    setTimeout(drawWaiting); // lets the browser answer between two figures
  }

  function toggle(button, open) {
    button.setAttribute("aria-expanded", open);
    document.getElementById(button.getAttribute("aria-controls")).hidden = !open;
  }

  function showTrial(number) {
    const body = document.getElementById(`trial-${number}`);
    if (!body) return;
    const button = body.querySelector("button");
    toggle(button, true);
    body.scrollIntoView({ block: "center" });
    button.focus({ preventScroll: true });
  }

  function sort(header) {
    const index = [...header.parentNode.children].indexOf(header);
    const numeric = header.classList.contains("number");
    const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const value = (body) => body.rows[0].cells[index].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays at the end
      return direction * (numeric ? Number(x) - Number(y) : x.localeCompare(y));
    };
    table.append(...[...table.tBodies].sort(compare));
  }

  if (table) {
    table.addEventListener("click", (event) => {
      const header = event.target.closest("thead th:not(.open)");
      if (header) return sort(header);
      const row = event.target.closest("tr.trial");
      if (!row || String(getSelection())) return;
      const button = row.querySelector("button");
      toggle(button, button.getAttribute("aria-expanded") !== "true");
    });
  }
  for (const link of document.querySelectorAll("a[data-trial]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      showTrial(link.dataset.trial);
    });
  }
  for (const input of document.querySelectorAll(".tabs input")) {
    input.addEventListener("change", () => {
      for (const tab of input.closest(".tabs").querySelectorAll(".tab")) {
        tab.hidden = tab.querySelector(".chart").id !== input.value;
      }
      drawWaiting();
      Plotly.Plots.resize(document.getElementById(input.value));
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn().forEach(draw));
  drawWaiting();
})();

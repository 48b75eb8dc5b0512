/* What opens under a trial's row: error, recipe, learning curves. Made when it is first opened. */
let openedData = null;

function trialDetails(trial, colour) {
  openedData ??= JSON.parse(document.getElementById("opened").textContent);
  const lines = (places) => places.map((place) => openedData.lines[place]).join("\n");
  const details = element("div", { className: "detail" });
  const trouble = openedData.troubles[trial];
  if (trouble) details.append(element("pre", { className: "trouble", textContent: lines(trouble), tabIndex: 0, role: "region", ariaLabel: `Error of trial ${trial}` }));
  const curves = openedData.curves[trial];
  const drawn = curves ? openedData.figures.map((figure) => trialFigure(trial, figure, curves, colour)) : [];
  details.append(recipePart(trial, lines(openedData.recipes[trial]) + "\n"), ...drawn);
  return details;
}

function recipePart(trial, yaml) {
  const text = element("pre", { textContent: yaml, tabIndex: 0, role: "region", ariaLabel: `Recipe of trial ${trial}` });
  const told = element("span", { role: "status" });
  const copy = element("button", { type: "button", textContent: "Copy as YAML" });
  copy.addEventListener("click", async () => {
    told.textContent = "";
    const done = await copied(yaml, text);
    told.textContent = done ? "Copied" : "Press Ctrl+C to copy the marked text";
  });
  return element("div", { className: "recipe" }, element("p", {}, copy, " ", told), text);
}

async function copied(words, shown) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch { // not allowed here: what is marked can be copied all the same
    getSelection().selectAllChildren(shown);
    return document.execCommand("copy");
  }
}

function trialFigure(trial, { part, title, layout }, curves, colour) {
  const id = `trial-${trial}-${part}`;
  const [passes] = curves;
  const number = part === "accuracy" ? "%{y:.1%}" : "%{y:.3g}";
  const side = (name, told, line) => ({
    x: passes, y: curves[1 + openedData.metrics.indexOf(name)], name: told,
    mode: passes.length > 1 ? "lines" : "markers", line: { color: colour, ...line },
    marker: { color: colour, size: 8, symbol: line.dash ? "circle-open" : "circle" },
    hovertemplate: `${number}, %{x:.3g} passes<extra>${told}</extra>`,
  });
  const data = [
    side(`train_${part}`, "training", { width: 1.6, dash: "dash" }),
    side(`val_${part}`, "validation", { width: 2.4 }),
  ];
  figures[id] = { data, layout };
  const words = `${layout.meta}, of trial ${trial}`;
  const chart = element("div", { className: "chart", id, role: "figure", ariaLabel: words });
  chart.style.minHeight = `${layout.height}px`;
  const numbers = element("details", { className: "numbers" }, element("summary", { textContent: "Numbers", ariaLabel: `Numbers: ${words}` }));
  numbers.dataset.of = id;
  offerNumbers(numbers);
  return element("figure", {}, element("figcaption", { textContent: `${title}: training dashed, validation solid` }), chart, numbers);
}

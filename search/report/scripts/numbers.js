/* The numbers of a figure as a table, made when it is asked for: for those who cannot see the figure. */
const MOST_NUMBERS = 1000; // rows
const ARRAYS = {
  i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array,
  f4: Float32Array, f8: Float64Array,
};

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/* A list as plotly's JSON has it: plain, or packed. */
function unpacked(list) {
  if (!list?.bdata) return list ?? [];
  return [...new ARRAYS[list.dtype](Uint8Array.from(atob(list.bdata), (byte) => byte.charCodeAt(0)).buffer)];
}

/* Words for a figure, which are markup, as plain text. */
function plain(words) {
  const marks = { "<br>": ", ", "&lt;": "<", "&gt;": ">", "&amp;": "&", "&#36;": "$" };
  return String(words ?? "").replace(/<br>|&lt;|&gt;|&amp;|&#36;/g, (mark) => marks[mark]);
}

/* A value as its axis names it. */
function named(value, axis, places) {
  if (typeof value !== "number") return plain(value);
  const ticks = unpacked(axis.tickvals);
  if (places && ticks.length) return plain(axis.ticktext[ticks.findLastIndex((tick) => tick <= value)]);
  return axis.tickformat ? `${(100 * value).toFixed(1)}%` : String(Number(value.toPrecision(4)));
}

/* Rows of the trial or search, where a bar that does not begin at 0 begins, x, y, what the mark is of and what it says;
   what there is not is undefined. */
function rowsOf({ data, layout }) {
  const rows = [];
  for (const trace of data.filter((found) => found.hoverinfo !== "skip")) {
    const [x, y, base, words, custom] = [trace.x, trace.y, trace.base, trace.hovertext, trace.customdata].map(unpacked);
    const [across, upright] = [trace.type === "heatmap", trace.orientation === "h"];
    if (across) {
      trace.z.forEach((line, row) => unpacked(line).forEach((share, place) => {
        if (share) rows.push([undefined, undefined, named(x[place], layout.xaxis, true), named(y[row], layout.yaxis, true), "", plain(words[row][place])]);
      }));
      continue;
    }
    x.forEach((value, place) => {
      if (value === null || y[place] === null || Number.isNaN(y[place])) return;
      const [trial, choice] = [custom[place]].flat();
      const from = base.length ? named(base[place], layout.xaxis, false) : undefined;
      const shown = choice === undefined ? named(base.length ? base[place] + value : value, layout.xaxis, false) : plain(choice);
      const height = trace.meta === "rows" ? undefined : named(y[place], layout.yaxis, upright);
      rows.push([trial, from, shown, height, plain(trace.name), plain(words[place])]);
    });
  }
  return rows;
}

function numbersTable(figure, name) {
  const rows = rowsOf(figure);
  const title = (axis, name) => plain(axis?.title?.text ?? name);
  const upright = figure.data.some(({ y, orientation }) => orientation === "h" || typeof y[0] === "string");
  const heads = [
    NUMBERED, "start", title(figure.layout.xaxis, "value"), title(figure.layout.yaxis, upright ? "of" : "score"), "mark", "about",
  ];
  const bars = rows.some(([, from]) => from !== undefined);
  if (bars) [heads[1], heads[2]] = [`start, ${heads[2]}`, `end, ${heads[2]}`];
  const used = heads.map((_, place) => rows.some((row) => ![undefined, ""].includes(row[place])));
  const cells = (name, row) => row.filter((_, place) => used[place]).map((cell) => element(name, { textContent: cell ?? "" }));
  const head = element("tr", {}, ...cells("th", heads));
  for (const cell of head.cells) cell.scope = "col";
  const body = rows.slice(0, MOST_NUMBERS).map((row) => element("tr", {}, ...cells("td", row)));
  const table = element("table", { className: "plain" }, element("thead", {}, head), element("tbody", {}, ...body));
  const box = element("div", { className: "box", role: "region", ariaLabel: name, tabIndex: 0 }, table);
  const left = rows.length - body.length;
  return left > 0 ? [box, element("p", { className: "note", textContent: `${left.toLocaleString("en")} further rows are left out.` })] : [box];
}

function offerNumbers(details) {
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      details.append(...numbersTable(figures[details.dataset.of], details.firstElementChild.ariaLabel));
    }
  });
}
document.querySelectorAll("details.numbers").forEach(offerNumbers);

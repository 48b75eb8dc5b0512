/* The table of trials: filtered, sorted, as many rows as the reader asks for. */
const NUMBERED = "trial"; // what a mark in a figure is of
const STEP = 100; // rows at first, and with each click for more
const table = document.getElementById("trials");
const filters = document.getElementById("filters");
const { columns, colours, leader } = JSON.parse(document.getElementById("rows").textContent);
const column = Object.fromEntries(columns.map((found) => [found.key, found]));
const trials = column.trial.full; // best first, as all lists of the columns
const bodies = new Map(); // by row, once made
const open = new Set(); // rows
let sorted = { key: "rank", direction: 1 };
let most = STEP;
let found = []; // rows that pass the filters, in order

const words = trials.map(() => null);
function wordsOf(row) {
  words[row] ??= columns.map(({ full, shown }) => `${shown[row]}\n${full[row] ?? ""}`).join("\n").toLowerCase();
  return words[row];
}

function select() {
  const asked = Object.fromEntries(new FormData(filters));
  const wanted = asked.words.toLowerCase().split(/\s+/);
  found = trials.map((_, row) => row).filter((row) =>
    (!asked.outcome || column.outcome.full[row] === asked.outcome)
    && (!asked.family || column.family.full[row] === asked.family)
    && wanted.every((word) => wordsOf(row).includes(word)));
  const { full, number } = column[sorted.key];
  found.sort((a, b) => {
    const [x, y] = [full[a], full[b]];
    if (x === null || y === null) return (x === null) - (y === null) || a - b; // what is missing stays at the end
    return sorted.direction * (number ? Number(x) - Number(y) : String(x).localeCompare(String(y))) || a - b;
  });
}

function show() {
  const shown = found.slice(0, most);
  for (const body of [...table.tBodies]) body.remove();
  table.append(...shown.map(bodyOf));
  const left = found.length - shown.length;
  const more = document.getElementById("more");
  more.hidden = !left;
  more.textContent = `Show ${Math.min(STEP, left).toLocaleString("en")} more`;
  const of = found.length < trials.length ? ` of ${trials.length.toLocaleString("en")}` : "";
  const said = `${found.length.toLocaleString("en")}${of} trial${trials.length === 1 ? "" : "s"}`;
  document.getElementById("shown").textContent = left ? `${said}, the first ${shown.length.toLocaleString("en")} shown` : said;
}

function update() {
  select();
  show();
}

function bodyOf(row) {
  if (!bodies.has(row)) bodies.set(row, newBody(row));
  return bodies.get(row);
}

function newBody(row) {
  const trial = trials[row];
  const line = element("tr", { className: "trial" });
  const opens = element("button", { type: "button", ariaLabel: `Trial ${trial}: recipe and curves`, ariaExpanded: "false" });
  opens.setAttribute("aria-controls", `opened-${trial}`);
  const swatch = element("i", { className: "swatch" });
  swatch.style.background = colours[column.family.full[row]];
  opens.append(swatch);
  line.append(element("td", { className: "open" }, opens));
  for (const { full, shown, number } of columns) {
    const cell = element("td", { textContent: shown[row], className: number ? "number" : "" });
    if (full[row] !== null && String(full[row]) !== shown[row]) cell.title = full[row];
    line.append(cell);
  }
  if (trial === leader) line.classList.add("winner");
  const cell = element("td", { colSpan: columns.length + 1 });
  const body = element("tbody", { id: `trial-${trial}` }, line);
  body.dataset.row = row;
  body.append(element("tr", { className: "detail", id: `opened-${trial}`, hidden: true }, cell));
  return body;
}

function setOpen(row, wanted) {
  const body = bodyOf(row);
  const [line, detail] = body.rows;
  line.querySelector("button").ariaExpanded = String(wanted);
  detail.hidden = !wanted;
  open[wanted ? "add" : "delete"](row);
  if (wanted && !detail.cells[0].firstChild) {
    detail.cells[0].append(trialDetails(trials[row], colours[column.family.full[row]]));
  }
  if (wanted) drawWaiting();
}

function clear() {
  for (const field of filters.querySelectorAll("input, select")) field.value = "";
}

function showTrial(number) {
  const row = trials.indexOf(Number(number));
  if (row < 0) return;
  if (!found.includes(row)) {
    clear();
    select();
  }
  most = Math.max(most, STEP * Math.ceil((found.indexOf(row) + 1) / STEP));
  show();
  setOpen(row, true);
  bodyOf(row).scrollIntoView({ block: "center" });
  bodyOf(row).querySelector("button").focus({ preventScroll: true });
}

/* What the reader has chosen, by names that mean the same on a later page. */
function tableState() {
  return { filters: Object.fromEntries(new FormData(filters)), sorted, most, open: [...open].map((row) => trials[row]) };
}

function setTable(state) {
  for (const [name, value] of Object.entries(state.filters)) filters.elements[name].value = value;
  if (column[state.sorted.key]) sorted = state.sorted;
  most = state.most;
  markSorted();
  update();
  for (const trial of state.open) if (trials.includes(trial)) setOpen(trials.indexOf(trial), true);
}

function markSorted() {
  for (const header of table.tHead.rows[0].cells) {
    header.removeAttribute("aria-sort");
    if (header.dataset.key === sorted.key) header.setAttribute("aria-sort", sorted.direction === 1 ? "ascending" : "descending");
  }
}

if (table) {
  table.addEventListener("click", (event) => {
    const header = event.target.closest("thead th");
    if (header) {
      const { key } = header.dataset;
      sorted = { key, direction: sorted.key === key ? -sorted.direction : 1 };
      markSorted();
      return update();
    }
    const line = event.target.closest("tr.trial");
    if (!line || String(getSelection())) return;
    const row = Number(line.parentNode.dataset.row);
    setOpen(row, !open.has(row));
  });
  table.addEventListener("keydown", (event) => {
    const row = Number(event.target.closest("tbody")?.dataset.row ?? -1);
    if (event.key !== "Escape" || !open.has(row)) return;
    setOpen(row, false);
    bodyOf(row).querySelector("button").focus();
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("input", () => { most = STEP; update(); });
  document.getElementById("clear").addEventListener("click", () => { clear(); update(); });
  document.getElementById("more").addEventListener("click", () => { most += STEP; show(); });
  update();
}

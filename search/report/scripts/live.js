/* A page of a running search loads itself anew, and keeps the reader's place. */
const live = document.getElementById("live");
const KEPT = `classifier-search ${location.pathname}`;
const STILL_MS = 5000; // since the reader last did something
let kept = null; // what was kept before the page was loaded anew
let paused = false;
let touched = 0;

try { // a page that is loaded anew, unlike one that is opened, has the history's state
  if (history.state?.opened) kept = JSON.parse(sessionStorage.getItem(KEPT));
  history.replaceState({ opened: true }, "");
} catch {} // no place to keep anything: the page works all the same

/* The marked element at the top of the window, or next to it, and how far it is from there. */
function anchor() {
  const top = (marked) => marked.getBoundingClientRect().top;
  const shown = [...document.querySelectorAll("main [id]")].filter((marked) => marked.offsetParent);
  if (!shown.length) return null;
  const nearest = shown.reduce((best, marked) => (Math.abs(top(marked)) < Math.abs(top(best)) ? marked : best));
  return { id: nearest.id, top: top(nearest) };
}

/* A selector of what has the focus; null where nothing has. */
function focused() {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  if (at.id) return `#${CSS.escape(at.id)}`;
  const body = at.closest("tbody[id]");
  if (body) return `#${body.id} td.open button`;
  const header = at.closest("th[data-key]");
  if (header) return `th[data-key="${CSS.escape(header.dataset.key)}"] button`;
  if (at.type === "radio") return `[name="${at.name}"][value="${CSS.escape(at.value)}"]`;
  return at.name ? `[name="${at.name}"]` : null;
}

function keep() {
  const boxes = Object.fromEntries(
    [...document.querySelectorAll("[role=region][id]")].map((box) => [box.id, [box.scrollLeft, box.scrollTop]]));
  const state = {
    paused, boxes, anchor: anchor(), focus: focused(), running: Boolean(live), zooms,
    table: table && tableState(),
    tabs: [...document.querySelectorAll(".tabs :checked")].map((tab) => tab.value),
    unfolded: [...document.querySelectorAll("main details")].map((details) => details.open),
  };
  try { sessionStorage.setItem(KEPT, JSON.stringify(state)); } catch {}
}

function restore() {
  history.scrollRestoration = "manual";
  paused = kept.paused;
  Object.assign(zooms, kept.zooms);
  if (table && kept.table) setTable(kept.table);
  for (const tab of document.querySelectorAll(".tabs input")) if (kept.tabs.includes(tab.value)) choose(tab);
  document.querySelectorAll("main details").forEach((details, place) => { details.open = Boolean(kept.unfolded[place]); });
  for (const [id, [left, top]] of Object.entries(kept.boxes)) document.getElementById(id)?.scrollTo(left, top);
  if (kept.focus) document.querySelector(kept.focus)?.focus({ preventScroll: true });
  const marked = kept.anchor && document.getElementById(kept.anchor.id);
  if (marked) scrollBy({ top: marked.getBoundingClientRect().top - kept.anchor.top, behavior: "instant" });
}

/* Whether a new page would disturb the reader. */
function busy() {
  return document.hidden || !getSelection().isCollapsed || Date.now() - touched < STILL_MS
    || document.querySelector(".chart:hover") !== null;
}

function follow() {
  const written = Number(live.dataset.written) * 1000;
  const every = Number(live.dataset.every) * 1000;
  const due = Date.now() + every;
  const [told, button] = [live.querySelector("[role=status]"), live.querySelector("button")];
  const clock = new Date(written).toLocaleTimeString();
  const late = Date.now() - written > Math.max(10 * 60e3, 5 * every);
  function tell() {
    const next = paused ? "paused" : `refreshes every ${Math.round(every / 1000)} s`;
    told.textContent = `Updated ${clock}, ${next}${late ? "; nothing new for long: has the search been cut off?" : ""}`;
    button.textContent = paused ? "Go on" : "Pause";
  }
  button.addEventListener("click", () => {
    paused = !paused;
    tell();
  });
  for (const sign of ["keydown", "pointerdown", "wheel", "touchmove", "input"]) {
    addEventListener(sign, () => { touched = Date.now(); }, { passive: true });
  }
  setInterval(() => { if (!paused && Date.now() > due && !busy()) location.reload(); }, 500);
  live.hidden = false;
  tell();
}

addEventListener("pagehide", keep);
if (kept) restore();
if (live) follow();
if (kept?.running && !live) document.getElementById("ended").textContent = "The search has ended: this page stays as it is now.";

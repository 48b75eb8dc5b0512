/* A click on a figure leads to the row of its search. */
const NUMBERED = "search"; // what a mark in a figure is of

function showTrial(search) {
  const row = document.getElementById(`search-${search}`);
  row.scrollIntoView({ block: "center" });
  row.focus({ preventScroll: true });
}

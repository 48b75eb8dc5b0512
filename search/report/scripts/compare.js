/* A click on a figure leads to the row of its search. */
function showTrial(search) {
  const row = document.getElementById(`search-${search}`);
  row.scrollIntoView({ block: "center" });
  row.focus({ preventScroll: true });
}

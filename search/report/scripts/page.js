/* Links to sections and trials, tabs, the change between light and dark. */
const contents = document.getElementById("contents");
for (const heading of contents ? document.querySelectorAll("main > section[id] > h2") : []) {
  contents.append(element("a", { href: `#${heading.parentNode.id}`, textContent: heading.textContent }));
}
for (const link of document.querySelectorAll("a[data-trial]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    showTrial(link.dataset.trial);
  });
}
function choose(input) {
  input.checked = true;
  for (const tab of input.closest(".tabs").querySelectorAll(".tab")) {
    tab.hidden = tab.querySelector(".chart").id !== input.value;
  }
  drawWaiting();
}

for (const input of document.querySelectorAll(".tabs input")) {
  input.addEventListener("change", () => choose(input));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", drawWaiting);
addEventListener("DOMContentLoaded", drawWaiting); // when plotly, the last script, has been read

"use strict";
const told = document.getElementById("told");
const rows = new Map([...document.querySelectorAll("tr[id^=trial-]")].map((row) => [row.id, row]));
const marks = [...document.querySelectorAll("svg.frontier a[data-trial]")];
function choose(id) {
  for (const mark of marks) mark.classList.toggle("chosen", mark.dataset.trial === id);
  for (const [name, row] of rows) row.classList.toggle("chosen", name === id);
  const row = rows.get(id);
  if (!row) return;
  const heads = [...row.closest("table").querySelectorAll("thead th")].map((head) => head.textContent.trim());
  told.replaceChildren(...[...row.cells].map((cell, i) => {
    const line = document.createElement("p"), head = document.createElement("strong");
    head.textContent = heads[i] + ": ";
    line.append(head, cell.textContent.replace(/\s+/g, " ").trim());
    return line;
  }));
}
for (const mark of marks) for (const what of ["mouseenter", "focus", "click"]) mark.addEventListener(what, () => choose(mark.dataset.trial));
for (const [id, row] of rows) row.addEventListener("mouseenter", () => choose(id));
if (location.hash) choose(location.hash.slice(1));

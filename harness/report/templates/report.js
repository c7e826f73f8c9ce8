"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const numeric = head.classList.contains("number");
      const key = (row) => row.cells[column].dataset.key;
      const number = (row) => Number(key(row).replace("inf", "Infinity"));
      const compare = (a, b) => (numeric ? number(a) - number(b) : key(a).localeCompare(key(b), "en", { numeric: true }));
      const known = [...body.rows].filter((row) => key(row) !== "");
      const empty = [...body.rows].filter((row) => key(row) === "");
      known.sort((a, b) => (down ? compare(b, a) : compare(a, b)));
      body.replaceChildren(...known, ...empty);
    });
  });
}

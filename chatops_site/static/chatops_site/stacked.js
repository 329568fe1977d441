// On narrow screens a table's rows are stacked: each cell then says the name of its column.
"use strict";
for (const table of document.querySelectorAll("#result_list, .inline-group table, table.changes")) {
  const names = [...table.querySelectorAll("thead th")].map((head) => {
    const text = head.querySelector(".text");
    return (text || head).textContent.trim();
  });
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.children].forEach((cell, place) => {
      if (names[place] && !cell.classList.contains("action-checkbox")) {
        cell.dataset.label = names[place];
      }
    });
  }
}

"use strict";
// Keyboard shortcuts; the help lists them. Keys typed into a field are ignored.
(() => {
  const PAGES = { r: "/", c: "/compare", e: "/experiments", q: "/query", h: "/health" };
  let prefixed = 0; // when "g" was pressed

  const click = (selector) => {
    const target = document.querySelector(selector);
    if (target) target.click();
    return Boolean(target);
  };

  const focusText = () => {
    const fields = document.querySelectorAll("main input[type=search], main textarea");
    const field = [...fields].find((field) => field.offsetParent);
    if (field) field.focus();
    return Boolean(field);
  };

  const rows = () =>
    [...document.querySelectorAll(".ag-center-cols-container .ag-row")].sort(
      (a, b) => a.getAttribute("row-index") - b.getAttribute("row-index"),
    );

  // The id of the focused run: the grid replaces rows that change, and they lose the focus.
  let current = null;
  const isCurrent = (row) => row.getAttribute("row-id") === current;

  // Focus the link of the next or the previous run in the table.
  const step = (by) => {
    const all = rows();
    const next = all[Math.max(0, Math.min(all.length - 1, all.findIndex(isCurrent) + by))];
    if (!next) return false;
    current = next.getAttribute("row-id");
    next.querySelector(".run-link, .group-row").focus();
    return true;
  };

  const selectRow = () =>
    current !== null && click(`.ag-row[row-id="${CSS.escape(current)}"] input[type=checkbox]`);

  const moveStep = (by) => {
    const thumb = document.querySelector("#snapshot-step [role=slider]");
    if (!thumb || !thumb.offsetParent) return false;
    htga.snapshot.choose(Number(thumb.getAttribute("aria-valuenow")) + by);
    return true;
  };

  const KEYS = {
    "?": () => document.getElementById("help").showModal(),
    "/": focusText,
    j: () => step(1),
    k: () => step(-1),
    x: selectRow,
    c: () => click('.runs:not([data-marked="0"]) #runs-compare'),
    e: () => click('[data-opens="edit"]'),
    "[": () => moveStep(-1),
    "]": () => moveStep(1),
    g: () => (prefixed = performance.now()),
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const goes = performance.now() - prefixed < 1500 && PAGES[event.key];
    prefixed = 0;
    const done = goes ? click(`.to-page[href="${htga.root}${goes}"]`) : KEYS[event.key] && KEYS[event.key]();
    if (done !== false && (goes || KEYS[event.key])) event.preventDefault();
  });
})();

"use strict";
// What can be done by key; the help lists it. Keys that are typed into a field are left alone.
(() => {
  const PAGES = { r: "/", c: "/compare", e: "/experiments", q: "/query", h: "/health" };
  let going = 0; // when "g" was pressed

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

  // Which run the keys are at. The grid draws its rows anew as they change, and the focus is lost.
  let at = null;
  const isAt = (row) => row.getAttribute("row-id") === at;

  // To the link of the next or the previous run in the table.
  const step = (by) => {
    const all = rows();
    const next = all[Math.max(0, Math.min(all.length - 1, all.findIndex(isAt) + by))];
    if (!next) return false;
    at = next.getAttribute("row-id");
    next.querySelector(".run-link, .group-row").focus();
    return true;
  };

  const markRow = () =>
    at !== null && click(`.ag-row[row-id="${CSS.escape(at)}"] input[type=checkbox]`);

  const moveMoment = (by) => {
    const thumb = document.querySelector("#moment-step [role=slider]");
    if (!thumb || !thumb.offsetParent) return false;
    htga.moment.choose(Number(thumb.getAttribute("aria-valuenow")) + by);
    return true;
  };

  const KEYS = {
    "?": () => document.getElementById("help").showModal(),
    "/": focusText,
    j: () => step(1),
    k: () => step(-1),
    x: markRow,
    c: () => click('.runs:not([data-marked="0"]) #runs-compare'),
    e: () => click('[data-opens="edit"]'),
    "[": () => moveMoment(-1),
    "]": () => moveMoment(1),
    g: () => (going = performance.now()),
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const goes = performance.now() - going < 1500 && PAGES[event.key];
    going = 0;
    const done = goes ? click(`.to-page[href="${goes}"]`) : KEYS[event.key] && KEYS[event.key]();
    if (done !== false && (goes || KEYS[event.key])) event.preventDefault();
  });
})();

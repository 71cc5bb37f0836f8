"use strict";
// The theme: what the user chose (auto, light or dark; kept in this browser), and what it comes to.
// Runs in the head of the document, before anything is painted.
window.htga = window.htga || {};

htga.theme = (() => {
  const KEY = "htga-theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let choice = "auto";
  try {
    choice = localStorage.getItem(KEY) || choice;
  } catch {
    // A browser that keeps nothing follows the system.
  }

  const resolved = () => (choice === "auto" ? (dark.matches ? "dark" : "light") : choice);

  const choose = (chosen) => {
    choice = chosen;
    document.documentElement.dataset.theme = choice;
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // It holds until the page is left.
    }
  };

  choose(["light", "dark"].includes(choice) ? choice : "auto");
  return { choose, resolved, choice: () => choice, system: dark };
})();

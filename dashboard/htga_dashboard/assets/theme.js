"use strict";
// The theme: the user's choice (auto, light or dark; stored in this browser) and the theme that
// results. Runs in the head of the document, before the first paint.
window.htga = window.htga || {};

htga.theme = (() => {
  const KEY = "htga-theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let choice = "auto";
  try {
    choice = localStorage.getItem(KEY) || choice;
  } catch {
    // Without storage the theme follows the system.
  }

  const resolved = () => (choice === "auto" ? (dark.matches ? "dark" : "light") : choice);

  const choose = (chosen) => {
    choice = chosen;
    document.documentElement.dataset.theme = choice;
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // Remembered until the page is left.
    }
  };

  choose(["light", "dark"].includes(choice) ? choice : "auto");
  return { choose, resolved, choice: () => choice, system: dark };
})();

"use strict";
// Parts of a run's page below its charts. Each names itself in `data-section`, and is told what the
// page shows, in the store of that name, when it comes in sight, and again when the run has grown
// enough to tell. Nothing is asked of the server for what nobody looks at.
window.htga = window.htga || {};

htga.sections = (() => {
  const PART = 20; // told again when the run has grown by one part in so many
  const MOMENT_MS = 1000; // or, of the latest moment, so often
  const SMALL_PX = 300; // of each of the small charts beside one another, and four at most
  const SAME = ["run", "state", "attempt", "steps"];

  const told = new WeakMap(); // from a section to {view, at}
  const seen = new Set();
  let view = null;
  let timer = null;

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries)
        if (isIntersecting) seen.add(target);
        else seen.delete(target);
      tell();
    },
    { rootMargin: "250px" },
  );

  // Milliseconds until a section is to be told, or null if it need not be.
  const wait = (section) => {
    const last = told.get(section);
    if (!last || SAME.some((key) => last.view[key] !== view[key])) return 0;
    const grown = view.step - last.view.step;
    if (section.dataset.section !== "snapshot") return grown && grown >= view.step / PART ? 0 : null;
    return grown ? Math.max(0, last.at + MOMENT_MS - performance.now()) : null;
  };

  const tell = () => {
    clearTimeout(timer);
    if (!view) return;
    for (const section of seen) {
      if (!section.isConnected) {
        seen.delete(section);
        continue;
      }
      const rest = wait(section);
      if (rest === null) continue;
      if (rest > 0) {
        timer = setTimeout(tell, rest);
        continue;
      }
      told.set(section, { view, at: performance.now() });
      dash_clientside.set_props({ name: section.dataset.section, type: "section" }, { data: view });
    }
  };

  return {
    // A page has come on screen.
    arrived: () => {
      view = null;
      const layers = document.querySelector("[data-section=layers]");
      const across = layers && Math.min(Math.max(Math.floor(layers.clientWidth / SMALL_PX), 1), 4);
      if (layers) dash_clientside.set_props("layers-across", { data: across });
      for (const section of document.querySelectorAll("[data-section]")) watcher.observe(section);
    },
    // The page of a run shows this now.
    landed: (now) => {
      view = now;
      tell();
    },
  };
})();

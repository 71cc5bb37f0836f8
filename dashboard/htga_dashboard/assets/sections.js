"use strict";
// Sections of a run's page below its charts. A section in view is updated through the store named by
// its `data-section`: when it comes into view, and again when the run has grown noticeably. Sections
// out of view cost no requests.
window.htga = window.htga || {};

htga.sections = (() => {
  const PART = 20; // update when the run has grown by one part in 20
  const SNAPSHOT_MS = 1000; // the shortest time between two updates of the tail at the latest step
  const SMALL_PX = 300; // width of a small chart; at most four stand side by side
  const SAME = ["run", "state", "attempt", "steps"];

  const updated = new WeakMap(); // from a section to {view, at} of its last update
  const visible = new Set();
  let view = null;
  let timer = null;

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries)
        if (isIntersecting) visible.add(target);
        else visible.delete(target);
      update();
    },
    { rootMargin: "250px" },
  );

  // Milliseconds until a section needs an update, or null if it needs none.
  const wait = (section) => {
    const last = updated.get(section);
    if (!last || SAME.some((key) => last.view[key] !== view[key])) return 0;
    const grown = view.step - last.view.step;
    if (section.dataset.section !== "snapshot") return grown && grown >= view.step / PART ? 0 : null;
    return grown ? Math.max(0, last.at + SNAPSHOT_MS - performance.now()) : null;
  };

  const update = () => {
    clearTimeout(timer);
    if (!view) return;
    for (const section of visible) {
      if (!section.isConnected) {
        visible.delete(section);
        continue;
      }
      const rest = wait(section);
      if (rest === null) continue;
      if (rest > 0) {
        timer = setTimeout(update, rest);
        continue;
      }
      updated.set(section, { view, at: performance.now() });
      dash_clientside.set_props({ name: section.dataset.section, type: "section" }, { data: view });
    }
  };

  return {
    // A page was mounted.
    mounted: () => {
      view = null;
      const layers = document.querySelector("[data-section=layers]");
      const across = layers && Math.min(Math.max(Math.floor(layers.clientWidth / SMALL_PX), 1), 4);
      if (layers) dash_clientside.set_props("layers-across", { data: across });
      for (const section of document.querySelectorAll("[data-section]")) watcher.observe(section);
    },
    // The page of a run now shows `now`.
    show: (now) => {
      view = now;
      update();
    },
  };
})();

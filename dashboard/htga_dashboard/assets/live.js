"use strict";
// One EventSource says which runs have news. The page on screen names, in its `data-news`, the
// store that wants to hear of it and, in its `data-run`, the one run that it is about, if any; Dash
// does the rest. At most four times a second something is handed over, and never before Dash has
// answered the time before, so a slow server is asked less often instead of ever more.
window.htga = window.htga || {};

htga.live = (() => {
  const EVERY_MS = 250;
  const PATIENCE_MS = 10000;
  const RETRY_MS = 2000;

  const fresh = new Set();
  const ends = {};
  let steps = {};
  let events = null;
  let connected = false;
  let asked = 0;
  let answered = true;
  let timer = null;
  let view = null;
  let waiters = [];

  const page = () => document.querySelector("[data-news]");

  const pump = () => {
    timer = null;
    const host = page();
    if (!host || document.hidden) return;
    const run = host.dataset.run;
    if (run ? !fresh.has(run) : !fresh.size) return;
    const now = performance.now();
    const wait = Math.max(asked + EVERY_MS, answered ? 0 : asked + PATIENCE_MS) - now;
    if (wait > 0) {
      timer = setTimeout(pump, wait);
      return;
    }
    const runs = run ? [run] : [...fresh];
    runs.forEach((id) => fresh.delete(id));
    asked = now;
    answered = false;
    dash_clientside.set_props(host.dataset.news, { data: { runs, at: now } });
  };

  const soon = () => {
    clearTimeout(timer);
    pump();
  };
})();

"use strict";
// One stream of events says which runs have news. The page on screen names, in its `data-news`, the
// store that wants to hear of it and, in its `data-run`, the one run that it is about, if any; the
// rest is Dash's. News is handed over at most seven times a second, never before the answer to the
// last, and then after a rest a quarter as long as that took: a slow server, or a slow browser, is
// asked less often instead of ever more.
window.htga = window.htga || {};

htga.live = (() => {
  const EVERY_MS = 150; // between two handovers
  const PATIENCE_MS = 10000; // for an answer
  const CHECK_MS = 60000; // a run that fell silent says nothing
  const ANY = "*";
  const LATEST = "latest"; // the runs that had news last
  const COUNTS = "counts"; // how many runs there are

  const fresh = new Set(); // runs with news that no page has fetched yet
  const seen = {}; // what was last heard of each run
  let leave = null; // ends the listening
  let connected = null; // null until the first attempt has come to something
  let asked = -Infinity;
  let took = 0;
  let answered = true;
  let timer = null;
  let idle = [];
  let here = null; // the page that has come on screen

  const page = () => document.querySelector("[data-news]");

  const due = (run) =>
    run ? [run, ANY, LATEST].some((one) => fresh.has(one)) : fresh.size > 0;

  const handOver = () => {
    clearTimeout(timer);
    const host = page();
    if (!host || host !== here || document.hidden || !due(host.dataset.run)) return;
    const now = performance.now();
    const wait = asked + (answered ? Math.max(EVERY_MS, 1.25 * took) : PATIENCE_MS) - now;
    if (wait > 0) {
      timer = setTimeout(handOver, wait);
      return;
    }
    const runs = [...fresh];
    fresh.clear();
    expectAnswer();
    dash_clientside.set_props(host.dataset.news, { data: { runs, at: now } });
  };

  const expectAnswer = () => {
    asked = performance.now();
    answered = false;
  };

  // Dash has answered; `view` is what the page of a run shows now.
  const landed = (view) => {
    if (!answered) took = performance.now() - asked;
    answered = true;
    if (view && view.run) seen[view.run] = { ...seen[view.run], state: view.state };
    if (view && view.run && view.step !== null && !(seen[view.run].step > view.step))
      seen[view.run].step = view.step;
    idle.forEach((resolve) => resolve());
    idle = [];
    show();
    handOver();
  };

  // A page has come on screen; one that draws asks at once, and news waits for that answer: Dash
  // may lose a call that is made while a page is being mounted.
  const arrived = () => {
    open();
    answered = true;
    here = page();
    if (here && "draws" in here.dataset) expectAnswer();
    show();
    handOver();
  };

  // Resolves when no answer is on its way, so that two never cross.
  const quiet = () =>
    new Promise((resolve) => {
      if (answered) resolve();
      else {
        idle.push(resolve);
        setTimeout(resolve, PATIENCE_MS);
      }
    });

  const ask = (run) => {
    fresh.add(run);
    handOver();
  };

  const news = (run) => {
    htga.alerts.heard();
    ask(run);
  };

  const heard = {
    open: () => {
      // Whatever happened while nobody listened, which is not much when the page has just come.
      news(connected === null ? LATEST : ANY);
      connected = true;
      if (document.querySelector("[data-passing]")) location.reload();
    },
    error: () => {
      connected = false;
    },
    rows: ({ run, step }) => {
      seen[run] = { ...seen[run], step, state: "running" };
      news(run);
    },
    // News may have been missed.
    reset: () => news(ANY),
    run: ({ run, state }) => {
      seen[run] = { ...seen[run], state };
      fresh.add(COUNTS);
      news(run);
    },
  };

  const open = () => {
    if (leave || document.hidden) return;
    leave = htga.listen(({ kind, data }) => {
      heard[kind](data);
      show();
    });
  };

  const close = () => {
    if (leave) leave();
    leave = null;
  };

  // What the pill says: [class, word, rest].
  const status = () => {
    if (connected === null) return ["waiting", "connecting", ""];
    if (!connected) return ["reconnecting", "reconnecting", ""];
    const run = page() && page().dataset.run;
    if (!run) return ["live", "live", ""];
    const { state, step } = seen[run] || {};
    const rest = step === undefined ? "" : ` · step ${step.toLocaleString("en")}`;
    if (state && state !== "running") return [state, state, rest];
    return rest ? ["live", "live", rest] : ["waiting", "waiting", ""];
  };

  const show = () => {
    const pill = document.getElementById("live");
    if (!pill) return;
    const [kind, word, rest] = status();
    const [first, second] = pill.children;
    pill.dataset.kind = kind;
    // Written only when it changes: a screen reader reads each change aloud.
    if (first.textContent !== word) first.textContent = word;
    second.textContent = rest;
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  setInterval(() => page() && news(ANY), CHECK_MS);
  addEventListener("pageshow", ({ persisted }) => persisted && open()); // by the back button

  return { landed, arrived, quiet, expectAnswer, page, ask };
})();

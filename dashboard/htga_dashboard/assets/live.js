"use strict";
// Passes changes of runs from the event stream to the page. A page names in `data-news` the store that
// gets them and, if it shows one run only, that run in `data-run`; Dash does the rest. Changes are
// passed on at most seven times a second, never before the answer to the last ones, and then after a
// pause a quarter as long as that answer took, so that a slow server or browser gets fewer requests.
window.htga = window.htga || {};

htga.live = (() => {
  const EVERY_MS = 150; // between two updates
  const MAX_WAIT_MS = 10000; // for an answer
  const CHECK_MS = 60000; // a run that fell silent sends no event
  const ANY = "*"; // instead of an id: any run may have changed
  const LATEST = "latest"; // the runs that changed last
  const COUNTS = "counts"; // how many runs there are

  const changed = new Set(); // what no page has loaded yet: ids, ANY, LATEST, COUNTS
  const latest = {}; // the last known step and state of each run
  let leave = null; // stops listening
  let connected = null; // null until the first attempt has succeeded or failed
  let waiting = false; // for an answer
  let requested = -Infinity;
  let took = 0;
  let timer = null;
  let whenAnswered = [];
  let current = null; // the mounted page

  const page = () => document.querySelector("[data-news]");

  const concerns = (run) =>
    run ? [run, ANY, LATEST].some((one) => changed.has(one)) : changed.size > 0;

  const update = () => {
    clearTimeout(timer);
    const host = page();
    if (!host || host !== current || document.hidden || !concerns(host.dataset.run)) return;
    const now = performance.now();
    const wait = requested + (waiting ? MAX_WAIT_MS : Math.max(EVERY_MS, 1.25 * took)) - now;
    if (wait > 0) {
      timer = setTimeout(update, wait);
      return;
    }
    const runs = [...changed];
    changed.clear();
    expectAnswer();
    dash_clientside.set_props(host.dataset.news, { data: { runs, at: now } });
  };

  const expectAnswer = () => {
    requested = performance.now();
    waiting = true;
  };

  // Dash has answered; `view` is what the page of a run shows now.
  const answered = (view) => {
    if (waiting) took = performance.now() - requested;
    waiting = false;
    if (view && view.run) latest[view.run] = { ...latest[view.run], state: view.state };
    if (view && view.run && view.step !== null && !(latest[view.run].step > view.step))
      latest[view.run].step = view.step;
    whenAnswered.forEach((resolve) => resolve());
    whenAnswered = [];
    showStatus();
    update();
  };

  // A page was mounted. If it draws, it asks at once, and changes wait for that answer: Dash may lose a
  // call made while it mounts a page.
  const mounted = () => {
    open();
    waiting = false;
    current = page();
    if (current && "draws" in current.dataset) expectAnswer();
    showStatus();
    update();
  };

  // Resolves when no answer is pending, so that two never cross.
  const whenIdle = () =>
    new Promise((resolve) => {
      if (!waiting) resolve();
      else {
        whenAnswered.push(resolve);
        setTimeout(resolve, MAX_WAIT_MS);
      }
    });

  // Load on the current page what has changed: a run, or one of the words above.
  const load = (what) => {
    changed.add(what);
    update();
  };

  const notify = (run) => {
    htga.alerts.refresh();
    load(run);
  };

  const handlers = {
    open: () => {
      // Anything may have changed while nothing listened; not much if the page has just come.
      notify(connected === null ? LATEST : ANY);
      connected = true;
      if (document.querySelector("[data-passing]")) location.reload();
    },
    error: () => {
      connected = false;
    },
    rows: ({ run, step }) => {
      latest[run] = { ...latest[run], step, state: "running" };
      notify(run);
    },
    // Events may have been missed.
    reset: () => notify(ANY),
    run: ({ run, state }) => {
      latest[run] = { ...latest[run], state };
      changed.add(COUNTS);
      notify(run);
    },
  };

  const open = () => {
    if (leave || document.hidden) return;
    leave = htga.listen(({ kind, data }) => {
      handlers[kind](data);
      showStatus();
    });
  };

  const close = () => {
    if (leave) leave();
    leave = null;
  };

  // What the live status says: [class, word, rest].
  const status = () => {
    if (connected === null) return ["waiting", "connecting", ""];
    if (!connected) return ["reconnecting", "reconnecting", ""];
    const run = page() && page().dataset.run;
    if (!run) return ["live", "live", ""];
    const { state, step } = latest[run] || {};
    const rest = step === undefined ? "" : ` · step ${step.toLocaleString("en")}`;
    if (state && state !== "running") return [state, state, rest];
    return rest ? ["live", "live", rest] : ["waiting", "waiting", ""];
  };

  const showStatus = () => {
    const host = document.getElementById("live");
    if (!host) return;
    const [kind, word, rest] = status();
    const [first, second] = host.children;
    host.dataset.kind = kind;
    // Written only when it changes: a screen reader reads each change aloud.
    if (first.textContent !== word) first.textContent = word;
    second.textContent = rest;
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  setInterval(() => page() && notify(ANY), CHECK_MS);
  addEventListener("pageshow", ({ persisted }) => persisted && open()); // by the back button

  return { answered, mounted, whenIdle, expectAnswer, page, load };
})();

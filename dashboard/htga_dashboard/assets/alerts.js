"use strict";
// The bell: warnings and errors of the runs that changed last, and how many of them are unseen.
// Opening it marks all as seen; this browser remembers until when.
window.htga = window.htga || {};

htga.alerts = (() => {
  const SHOWN = 100;
  const EVERY_MS = 10000; // between two requests, however much changes
  const KEY = "htga-alerts-seen";

  let known = []; // the latest alerts, the latest first
  let seen = 0; // Unix seconds
  let loaded = -Infinity;
  let timer = null;
  try {
    seen = Number(localStorage.getItem(KEY)) || 0;
  } catch {
    // Without storage nothing counts as seen.
  }

  const element = (name, text, more = {}) =>
    Object.assign(document.createElement(name), { textContent: text }, more);

  const entry = ({ run_id, run_name, step, time, level, title, kind, text }) => {
    const item = element("li", "", { className: time > seen ? "new" : "" });
    const link = element("a", title || kind, { href: `${htga.root}/run/${encodeURIComponent(run_id)}?at=${step}` });
    const when = element("time", "");
    when.dataset.unix = time;
    item.append(
      element("span", level, { className: `level ${level}` }),
      link,
      when,
      element("small", `${run_name || run_id}, step ${step.toLocaleString("en")}${text ? `: ${text}` : ""}`),
    );
    return item;
  };

  const show = () => {
    const bell = document.getElementById("bell");
    if (!bell) return;
    const fresh = known.filter(({ time }) => time > seen).length;
    bell.dataset.count = fresh > 99 ? "99+" : fresh || "";
    bell.setAttribute("aria-label", fresh ? `Alerts, ${fresh} new` : "Alerts");
    const none = element("li", "Nothing to be warned of in the latest runs.");
    document
      .getElementById("alerts-list")
      .replaceChildren(...(known.length ? known.map(entry) : [none]));
    htga.tick();
  };

  const load = async () => {
    loaded = performance.now();
    const answer = await fetch(`${htga.root}/api/v1/alerts?limit=${SHOWN}`);
    if (answer.ok) known = (await answer.json()).items;
    show();
  };

  // Some run has changed: load soon.
  const refresh = () => {
    if (timer !== null) return;
    timer = setTimeout(
      async () => {
        await load().catch(() => {}); // without a collector there is nothing new to show
        timer = null;
      },
      Math.max(1000, loaded + EVERY_MS - performance.now()),
    );
  };

  addEventListener("click", ({ target }) => {
    if (!target.closest("#bell")) return;
    show(); // new alerts are marked as such one last time
    seen = Math.max(seen, ...known.map(({ time }) => time));
    try {
      localStorage.setItem(KEY, String(seen));
    } catch {
      // Remembered until the page is left.
    }
    delete document.getElementById("bell").dataset.count;
  });

  return { refresh };
})();

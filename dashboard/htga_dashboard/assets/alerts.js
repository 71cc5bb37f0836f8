"use strict";
// The bell: warnings and errors of the runs that had news last, and how many of them are unseen. To
// open it is to have seen them; this browser remembers until when.
window.htga = window.htga || {};

htga.alerts = (() => {
  const RUNS = 20; // that had news last
  const SHOWN = 100;
  const EVERY_MS = 10000; // between two looks, however much news there is
  const KEY = "htga-alerts-seen";
  const LEVELS = new Set(["warning", "error"]);

  const known = new Map(); // from a run to {updated, name, alerts}
  let seen = 0; // Unix seconds
  let looked = -Infinity;
  let timer = null;
  try {
    seen = Number(localStorage.getItem(KEY)) || 0;
  } catch {
    // A browser that keeps nothing has seen nothing.
  }

  const ask = async (path) => {
    const answer = await fetch(`/api/v1${path}`);
    return answer.ok ? (await answer.json()).items : [];
  };

  const all = () =>
    [...known].flatMap(([run, { name, alerts }]) => alerts.map((alert) => ({ ...alert, run, name })));

  const element = (name, text, more = {}) =>
    Object.assign(document.createElement(name), { textContent: text }, more);

  const entry = ({ run, name, step, time, level, title, kind, text }) => {
    const item = element("li", "", { className: time > seen ? "new" : "" });
    const link = element("a", title || kind, { href: `/run/${encodeURIComponent(run)}?at=${step}` });
    const when = element("time", "");
    when.dataset.unix = time;
    item.append(
      element("span", level, { className: `level ${level}` }),
      link,
      when,
      element("small", `${name}, step ${step.toLocaleString("en")}${text ? `: ${text}` : ""}`),
    );
    return item;
  };

  const show = () => {
    const bell = document.getElementById("bell");
    if (!bell) return;
    const alerts = all().sort((a, b) => b.time - a.time);
    const fresh = alerts.filter(({ time }) => time > seen).length;
    bell.dataset.count = fresh > 99 ? "99+" : fresh || "";
    bell.setAttribute("aria-label", fresh ? `Alerts, ${fresh} new` : "Alerts");
    const none = element("li", "Nothing to be warned of in the latest runs.");
    document
      .getElementById("alerts-list")
      .replaceChildren(...(alerts.length ? alerts.slice(0, SHOWN).map(entry) : [none]));
    htga.tick();
  };

  const look = async () => {
    looked = performance.now();
    const runs = await ask(`/runs?sort=-updated&limit=${RUNS}`);
    const changed = runs.filter(({ id, updated }) => known.get(id)?.updated !== updated);
    for (const { id, name, updated } of changed) {
      const alerts = (await ask(`/runs/${encodeURIComponent(id)}/events`)).filter(({ level }) => LEVELS.has(level));
      known.set(id, { updated, name: name || id, alerts });
    }
    show();
  };

  // There is news of some run.
  const heard = () => {
    if (timer !== null) return;
    timer = setTimeout(
      async () => {
        await look().catch(() => {}); // without a collector there is nothing new to be said
        timer = null;
      },
      Math.max(1000, looked + EVERY_MS - performance.now()),
    );
  };

  addEventListener("click", ({ target }) => {
    if (!target.closest("#bell")) return;
    show(); // what is new is marked once more, and then seen
    seen = Math.max(seen, ...all().map(({ time }) => time));
    try {
      localStorage.setItem(KEY, String(seen));
    } catch {
      // It holds until the page is left.
    }
    delete document.getElementById("bell").dataset.count;
  });

  return { heard };
})();

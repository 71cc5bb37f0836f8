"use strict";
// The trend of alpha_bar in a cell: fetched when the cell comes into view, a few at a time, and again
// when the run has grown noticeably.
(() => {
  const { createElement, useEffect, useState } = React;

  const POINTS = 48;
  const MAX_REQUESTS = 4; // at once
  const WIDTH = 96;
  const HEIGHT = 26;

  const cached = new Map(); // from a run to {step, path}
  const waiting = [];
  let running = 0;

  const next = async () => {
    if (running >= MAX_REQUESTS || !waiting.length) return;
    running += 1;
    await waiting.shift()();
    running -= 1;
    next();
  };

  const path = (values) => {
    const there = values.filter(Number.isFinite);
    if (there.length < 2) return "";
    const [low, high] = [Math.min(...there), Math.max(...there)];
    const middle = (high + low) / 2;
    const scale = (HEIGHT - 4) / (high - low || 1);
    let drawn = "";
    let pen = "M";
    values.forEach((value, place) => {
      if (!Number.isFinite(value)) {
        pen = "M";
        return;
      }
      const x = (place * WIDTH) / (values.length - 1);
      drawn += `${pen}${x.toFixed(1)} ${(HEIGHT / 2 - (value - middle) * scale).toFixed(1)}`;
      pen = "L";
    });
    return drawn;
  };

  const fetchPath = async (run) => {
    const query = `keys=alpha_bar&buckets=${POINTS}&preview=true`; // a table is no view of its runs
    const answer = await fetch(`${htga.root}/api/v1/runs/${encodeURIComponent(run)}/series?${query}`);
    if (!answer.ok) return "";
    const { keys } = await answer.json();
    return keys.alpha_bar ? path(keys.alpha_bar.mean.map((v) => (v === null ? NaN : Number(v)))) : "";
  };

  const components = (window.dashAgGridComponentFunctions =
    window.dashAgGridComponentFunctions || {});
  components.HtgaSparkline = ({ data }) => {
    const before = cached.get(data.id);
    const [, draw] = useState(null);
    const stale = !before || data.step - before.step > before.step / 20;
    useEffect(() => {
      if (data.members || data.step === null || !stale) return undefined;
      let gone = false;
      const job = async () => {
        const found = await fetchPath(data.id).catch(() => "");
        cached.set(data.id, { step: data.step, path: found });
        if (!gone) draw(found);
      };
      waiting.push(job);
      next();
      // A cell that leaves the view before its turn is fetched when it is back.
      return () => {
        gone = true;
        if (waiting.includes(job)) waiting.splice(waiting.indexOf(job), 1);
      };
    }, [data.id, stale]);
    return createElement(
      "svg",
      { className: "sparkline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": true },
      createElement("path", { d: before ? before.path : "" }),
    );
  };
})();

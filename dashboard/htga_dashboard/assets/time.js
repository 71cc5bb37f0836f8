"use strict";
// Every <time data-unix> shows how long ago that was, and in its tooltip the local date.
window.htga = window.htga || {};

(() => {
  const UNITS = [
    ["day", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];

  htga.ago = (unix, now = Date.now() / 1000) => {
    if (unix === null || unix === undefined) return "–";
    const seconds = Math.max(0, now - unix);
    if (seconds < 2) return "just now";
    const [unit, size] = UNITS.find(([, size]) => seconds >= size);
    const count = Math.floor(seconds / size);
    return `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""} ago`;
  };

  htga.date = (unix) =>
    unix === null || unix === undefined ? "" : new Date(unix * 1000).toLocaleString();

  const tick = () => {
    for (const time of document.querySelectorAll("time[data-unix]")) {
      const unix = Number(time.dataset.unix);
      const text = htga.ago(unix);
      if (time.textContent === text) continue;
      time.textContent = text;
      time.title = htga.date(unix);
      time.dateTime = new Date(unix * 1000).toISOString();
    }
  };
  htga.tick = tick;
  setInterval(tick, 1000);
})();

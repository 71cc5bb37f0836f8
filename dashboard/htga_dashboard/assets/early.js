"use strict";
// Requests that Dash would make only after all scripts have run start here, before the first of them:
// the page at this address with its layout and figures, and the list of callbacks. The same goes for
// the libraries that the page needs.
window.htga = window.htga || {};

(() => {
  const NEEDS = { plotly: /^\/(run\/|compare|experiments)/, tables: /^\/$/ };
  htga.early = (library) => NEEDS[library].test(location.pathname);

  const fetch = window.fetch;
  const query = new URLSearchParams({ href: location.href, theme: htga.theme.resolved() });
  const early = new Map([
    ["/_dash-layout", fetch(`/_layout?${query}`)],
    ["/_dash-dependencies", fetch("/_dash-dependencies")],
  ]);
  window.fetch = (address, options) => {
    const answer = early.get(address);
    early.delete(address);
    return answer || fetch(address, options);
  };

  const { plotly, tables } = document.documentElement.dataset;
  htga.tables = tables.split(" ");
  htga.load = (src) =>
    new Promise((resolve, reject) => {
      const script = Object.assign(document.createElement("script"), { src, async: false });
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${src} did not load`));
      document.head.append(script);
    });

  let loaded = null;
  htga.plotly = () => (loaded ||= htga.load(plotly));
  if (htga.early("plotly")) htga.plotly();

  if (htga.early("tables"))
    for (const href of htga.tables) {
      const hint = { rel: "preload", as: "script", href };
      document.head.append(Object.assign(document.createElement("link"), hint));
    }
})();

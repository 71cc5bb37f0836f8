"use strict";
// What Dash would ask for once all scripts have run is asked for before the first of them: the page
// at this address, within its layout and with its figures, and which callbacks there are. So are the
// libraries of a page that draws, or has a table.
window.htga = window.htga || {};

(() => {
  const NEEDS = { plotly: /^\/(run\/|compare|experiments)/, tables: /^\/$/ };
  htga.early = (library) => NEEDS[library].test(location.pathname);

  const ask = window.fetch;
  const said = new URLSearchParams({ href: location.href, theme: htga.theme.resolved() });
  const early = new Map([
    ["/_dash-layout", ask(`/_layout?${said}`)],
    ["/_dash-dependencies", ask("/_dash-dependencies")],
  ]);
  window.fetch = (address, how) => {
    const answer = early.get(address);
    early.delete(address);
    return answer || ask(address, how);
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

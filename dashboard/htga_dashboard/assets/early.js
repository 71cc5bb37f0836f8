"use strict";
// Requests that Dash would make only after all scripts have run start here, before the first of them:
// the page at this address with its layout and figures, and the list of callbacks. The same goes for
// the libraries that the page needs. Where the server refuses a request of Dash, the page says why.
window.htga = window.htga || {};

(() => {
  const NEEDS = { plotly: /^\/(run\/|compare|experiments)/, tables: /^\/$/ };
  const { plotly, root, tables } = document.documentElement.dataset;
  htga.root = root; // the path below which a proxy serves the app; "" without one
  const path = location.pathname.startsWith(root) ? location.pathname.slice(root.length) || "/" : "";
  htga.early = (library) => NEEDS[library].test(path);

  const refusal = Object.assign(document.createElement("p"), { className: "refusal" });
  refusal.setAttribute("role", "alert");
  const showRefusal = async (response) => {
    const { detail } = await response.json().catch(() => ({}));
    const why = detail || `it answers ${response.status} ${response.statusText}`;
    if (response.status === 401) {
      const link = Object.assign(document.createElement("a"), { href: "", textContent: "Log in" });
      refusal.replaceChildren("Your token is not valid (any more). ", link);
    } else refusal.textContent = `The server refuses what this page asks: ${why}.`;
    if (!document.body) await new Promise((resolve) => addEventListener("DOMContentLoaded", resolve));
    document.body.prepend(refusal);
  };

  const fetch = window.fetch;
  const ask = async (address, options) => {
    const response = await fetch(address, options);
    if (response.ok) refusal.remove();
    else showRefusal(response.clone());
    return response;
  };
  const query = new URLSearchParams({ href: location.href, theme: htga.theme.resolved() });
  const early = new Map([
    [`${root}/_dash-layout`, ask(`${root}/_layout?${query}`)],
    [`${root}/_dash-dependencies`, ask(`${root}/_dash-dependencies`)],
  ]);
  window.fetch = (address, options) => {
    const answer = early.get(address);
    early.delete(address);
    if (answer) return answer;
    return String(address).startsWith(`${root}/_dash-`) ? ask(address, options) : fetch(address, options);
  };

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

"use strict";
// What Dash would ask for once all scripts have run is asked for before the first of them: the page
// at this address, within its layout, and which callbacks there are. So is the library of a page
// that draws.
window.htga = window.htga || {};

(() => {
  const DRAWS = /^\/(run\/|compare|experiments)/;

  const ask = window.fetch;
  const early = new Map([
    ["/_dash-layout", ask(`/_layout?href=${encodeURIComponent(location.href)}`)],
    ["/_dash-dependencies", ask("/_dash-dependencies")],
  ]);
  window.fetch = (address, how) => {
    const answer = early.get(address);
    early.delete(address);
    return answer || ask(address, how);
  };

  const library = document.documentElement.dataset.plotly;
  if (DRAWS.test(location.pathname)) {
    const hint = { rel: "preload", as: "script", href: library };
    document.head.append(Object.assign(document.createElement("link"), hint));
  }

  let plotly = null;
  htga.plotly = () =>
    (plotly ||= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = library;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${library} did not load`));
      document.head.append(script);
    }));
})();

"use strict";
// The scripts of AG Grid, which are as large as all others together, come with the first table. Until
// then a component that waits for them has the place of theirs.
(() => {
  const { createElement, lazy, Suspense } = React;

  let coming = null;
  const load = () =>
    (coming ||= Promise.all(htga.tables.map(htga.load)).then(() => {
      const loaded = window.dash_ag_grid;
      window.dash_ag_grid = { ...loaded, AgGrid };
      return loaded;
    }));

  const Table = lazy(async () => ({ default: (await load()).AgGrid }));
  const AgGrid = (props) => createElement(Suspense, { fallback: null }, createElement(Table, props));
  window.dash_ag_grid = { AgGrid };
  if (htga.early("tables")) load();

  // What AG Grid itself offers of the table of that id, once it is there.
  htga.grid = async (id) => (await load()).getApiAsync(id);
})();

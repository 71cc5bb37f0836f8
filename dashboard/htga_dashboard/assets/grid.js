"use strict";
// The scripts of AG Grid are as large as all others together, so they load with the first table.
// Until then a placeholder stands in for the grid.
(() => {
  const { createElement, lazy, Suspense } = React;

  let loading = null;
  const load = () =>
    (loading ||= Promise.all(htga.tables.map(htga.load)).then(() => {
      const loaded = window.dash_ag_grid;
      window.dash_ag_grid = { ...loaded, AgGrid };
      return loaded;
    }));

  const Table = lazy(async () => ({ default: (await load()).AgGrid }));
  const AgGrid = (props) => createElement(Suspense, { fallback: null }, createElement(Table, props));
  window.dash_ag_grid = { AgGrid };
  if (htga.early("tables")) load();

  // The API of the grid with this id; resolves once the grid exists.
  htga.grid = async (id) => (await load()).getApiAsync(id);
})();

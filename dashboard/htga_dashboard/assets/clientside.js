"use strict";
// Functions that Dash calls in the browser.
window.dash_clientside = window.dash_clientside || {};
let searching = null; // timer of the next search

dash_clientside.htga = {
  // A page was mounted.
  pageMounted: (page) => {
    if (!page) return;
    const { props } = page;
    document.title = `${props["data-title"]} · HTGA`;
    for (const link of document.querySelectorAll(".to-page"))
      if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    // Its elements exist once React has finished this tick.
    setTimeout(() => {
      htga.tick();
      htga.graphs.forget();
      htga.graphs.mark(null);
      if (document.querySelector(".graph")) htga.plotly();
      htga.live.mounted();
      htga.sections.mounted();
      const data = htga.initialData(props.children, (id) => id?.type === "figures");
      if (!data) return;
      htga.graphs.show(JSON.parse(data.figures));
      htga.rendered(htga.initialData(props.children, (id) => id === "run-view"));
    });
  },

  // New figures arrived, by the name of their place.
  figures: () => {
    for (const { value } of dash_clientside.callback_context.triggered)
      if (value) htga.graphs.show(JSON.parse(value.figures));
  },

  // The charts of a run were replaced, or they grow.
  runUpdated: async (view, growth) => {
    const triggered = dash_clientside.callback_context.triggered.map(({ prop_id }) => prop_id);
    if (triggered.includes("run-growth.data")) await htga.graphs.append(growth);
    await htga.rendered(view);
  },

  // The slider moved to a step; at its right end it follows the run. A value equal to the step shown was
  // set by the server, not by the reader, who may have chosen another step since.
  snapshotMoved: (step, latest, at, shown) => {
    const chosen = step === null || step === undefined || step >= latest ? null : step;
    return step === shown?.last || chosen === at ? dash_clientside.no_update : chosen;
  },

  keepSnapshot: (at, k, layer) =>
    htga.address.set({
      at: at === null || at === undefined ? [] : [at],
      k: k ? [k] : [],
      of: layer ? [layer] : [],
    }),

  // Mark the chosen step, unless it is the latest.
  markSnapshot: (range, latest) =>
    htga.graphs.mark(range && range.last < latest ? (range.first + range.last) / 2 : null),

  typedSteps: (first, last) => {
    if (dash_clientside.callback_context.triggered_id === "run-all") htga.steps.show();
    else if (first && last) htga.steps.show(first, last);
  },

  // The first call, at load, has no click behind it and restores the earlier choice.
  chooseTheme: async (_auto, _light, _dark, drawn) => {
    const clicked = dash_clientside.callback_context.triggered_id;
    const choices = ["auto", "light", "dark"];
    if (clicked) htga.theme.choose(clicked.replace("theme-", ""));
    const other = htga.theme.resolved() !== drawn;
    if (other) await htga.theme.whenIdle();
    htga.theme.initialized = true;
    return [
      other ? htga.theme.resolved() : dash_clientside.no_update,
      ...choices.map((choice) => String(choice === htga.theme.choice())),
    ];
  },

  // Rows of runs are added, updated and removed; if any came or went, the runs are counted again.
  applyChanges: async (changes, grid) => {
    const api = await htga.grid(grid);
    const known = (id) => api.getRowNode(id);
    const kept = new Set(changes.rows.map((row) => row.id));
    const gone = changes.gone.filter(known).map((id) => ({ id }));
    if (changes.all)
      api.forEachNode(({ data }) => data.members || kept.has(data.id) || gone.push({ id: data.id }));
    const added = changes.rows.filter((row) => !known(row.id));
    const update = changes.rows.filter((row) => known(row.id));
    api.applyTransaction({ addIndex: 0, add: added, update, remove: gone });
    htga.table.changed(api, changes);
    if (!changes.all && added.length + gone.length) htga.live.load("counts");
    htga.live.answered(null);
    return [changes.hint ?? dash_clientside.no_update, changes.shown ?? dash_clientside.no_update];
  },

  groupRuns: async (by, columns, grid) => {
    const settings = columns === "settings";
    htga.address.set({ by: by || [], columns: settings ? [columns] : [] });
    htga.table.group(await htga.grid(grid), { by: by || [], settings });
  },

  loadMoreRuns: (_clicks, limit) => limit + Number(document.getElementById("runs-more").dataset.more),

  // The search or the number of runs to load changed: load all rows.
  searchRuns: (text) => {
    htga.address.set({ q: text ? [text] : [] });
    // Dash's own debouncing writes an older text into the field while the reader types on.
    clearTimeout(searching);
    searching = setTimeout(() => htga.live.load("*"), 250);
  },

  // An action on the selected runs is done.
  bulkDone: () => {
    for (const open of document.querySelectorAll("dialog[open]")) open.close();
    htga.table.deselect();
  },

  // The comparison was drawn, or its figures were replaced.
  comparisonDrawn: async () => {
    await htga.graphs.rendered();
    htga.live.answered(null);
    htga.tick();
  },

  edited: () => document.getElementById("edit").close(),

  // A click on a row of the layer heat map pins or unpins its layer; a row of several layers opens.
  layerClicked: (click, _all, rows, pinned, form) => {
    const same = dash_clientside.no_update;
    if (dash_clientside.callback_context.triggered_id === "layers-all") return [same, []];
    if (!click || form !== "map") return [same, same];
    const row = rows[click.y];
    if (row.length > 1) return [same, row];
    const [layer] = row;
    const others = (pinned || []).filter((name) => name !== layer);
    return [others.length === (pinned || []).length ? [...others, layer] : others, same];
  },

  keepLayers: (key, form, order, match, among, pinned) =>
    htga.address.set({
      layers: key === "alpha_hat" ? [] : [key],
      as: form === "map" ? [] : [form],
      order: order === "worst" ? [] : [order],
      match: match ? [match] : [],
      among: among || [],
      layer: pinned || [],
    }),

  answered: () => htga.live.answered(null),

  // Write into the address what is on screen, without a history entry for every change.
  keepAddress: (query) => history.replaceState(null, "", location.pathname + query),
};

// The data that a store among the children of a page had when the page came.
htga.initialData = (children, named) => children.find((one) => one?.props && named(one.props.id))?.props.data;

// Resolves when all figures given so far are on screen; `view` is what the page of a run shows.
htga.rendered = async (view) => {
  await htga.graphs.rendered();
  htga.live.answered(view);
  htga.tick();
  if (view) htga.sections.show(view);
};

// Resolves when figures may be requested in another theme.
htga.theme.whenIdle = async () => {
  await htga.live.whenIdle();
  if (htga.live.page()?.dataset.run) htga.live.expectAnswer();
};

// Sets query parameters of the address, each a list of values; the others stay.
htga.address = {
  set: (params) => {
    const query = new URLSearchParams(location.search);
    for (const [name, values] of Object.entries(params)) {
      query.delete(name);
      for (const value of values) query.append(name, value);
    }
    history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : ""));
  },
};

// The range of steps that the page of a run shows, kept in its store, its two fields and its address;
// empty for all steps.
htga.steps = (() => {
  const shown = () => new URLSearchParams(location.search).get("steps") || "";

  // A chart was zoomed along its steps, or reset: all others follow.
  const zoomed = (ranges) => {
    if ("xaxis.range[0]" in ranges) {
      const [first, last] = [ranges["xaxis.range[0]"], ranges["xaxis.range[1]"]].map(Number);
      show(Math.max(0, Math.ceil(first)), Math.floor(last));
    } else if (ranges["xaxis.autorange"]) show();
  };

  const show = async (first = "", last = "") => {
    // Input that is no range, such as a word, changes nothing.
    if (first !== "" && !(Number(first) <= Number(last))) return;
    const text = first === "" ? "" : `${Number(first)}-${Number(last)}`;
    if (text === shown()) return;
    htga.address.set({ steps: text ? [text] : [] });
    if (!text) htga.graphs.release();
    await htga.live.whenIdle();
    if (text !== shown()) return; // the reader has moved on
    htga.live.expectAnswer();
    dash_clientside.set_props("run-steps", { data: text });
    dash_clientside.set_props("run-first", { value: String(first) });
    dash_clientside.set_props("run-last", { value: String(last) });
  };

  return { show, zoomed };
})();

htga.theme.system.addEventListener("change", async () => {
  // While the page loads, Dash ignores set_props; its first call reads the theme anyway.
  if (htga.theme.choice() !== "auto" || !htga.theme.initialized) return;
  await htga.theme.whenIdle();
  dash_clientside.set_props("theme", { data: htga.theme.resolved() });
});

// Ctrl + Enter in the SQL field runs the query.
addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  if (event.target.id === "query-sql") document.getElementById("query-run").click();
});

// Three fixes for Dash's components: a slider's thumb gets its accessible name from `data-label` around
// it; the slider's value is shown beside that name; and a dropdown's button, which has a name, takes
// the focus instead of a hidden field beside it.
new MutationObserver(() => {
  for (const thumb of document.querySelectorAll(".dash-slider-thumb:not([aria-label])"))
    thumb.setAttribute("aria-label", thumb.closest("[data-label]")?.dataset.label || "value");
  for (const thumb of document.querySelectorAll(".field .dash-slider-thumb"))
    thumb.closest(".field").firstElementChild.dataset.value = thumb.getAttribute("aria-valuenow");
  for (const field of document.querySelectorAll(".dash-dropdown-focus-target[tabindex='0']")) {
    field.tabIndex = -1;
    field.nextElementSibling.tabIndex = 0;
  }
}).observe(document.body, { childList: true, subtree: true, attributeFilter: ["tabindex", "aria-valuenow"] });

"use strict";
// What Dash calls in the browser.
window.dash_clientside = window.dash_clientside || {};

dash_clientside.htga = {
  // A page has been put on screen.
  arrived: (page) => {
    if (!page) return;
    const { props } = page;
    document.title = `${props["data-title"]} · HTGA`;
    for (const link of document.querySelectorAll(".to-page"))
      if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    // Its elements are there when React is through with this turn of the event loop.
    setTimeout(() => {
      htga.tick();
      htga.graphs.forget();
      htga.graphs.mark(null);
      if (document.querySelector(".graph")) htga.plotly();
      htga.live.arrived();
      htga.sections.arrived();
      const came = htga.held(props.children, (id) => id?.type === "figures");
      if (!came) return;
      htga.graphs.show(JSON.parse(came.figures));
      htga.settled(htga.held(props.children, (id) => id === "run-view"));
    });
  },

  // Other figures have come: by the name of their place.
  figures: () => {
    for (const { value } of dash_clientside.callback_context.triggered)
      if (value) htga.graphs.show(JSON.parse(value.figures));
  },

  // The server has answered: the charts of a run were drawn anew, or they grow.
  landed: async (view, growth) => {
    const came = dash_clientside.callback_context.triggered.map(({ prop_id }) => prop_id);
    if (came.includes("run-growth.data")) await htga.graphs.append(growth);
    await htga.settled(view);
  },

  // The slider was moved to a step; at its right end it follows the run. Where it is because of what
  // is shown, nobody has moved it: another moment may have been chosen since that was asked for.
  momentMoved: (step, latest, at, shown) => {
    const chosen = step === null || step === undefined || step >= latest ? null : step;
    return step === shown?.last || chosen === at ? dash_clientside.no_update : chosen;
  },

  keepMoment: (at, k, layer) =>
    htga.address.say({
      at: at === null || at === undefined ? [] : [at],
      k: k ? [k] : [],
      of: layer ? [layer] : [],
    }),

  // The moment is marked, unless it is the latest anyway.
  markMoment: (moment, latest) =>
    htga.graphs.mark(moment && moment.last < latest ? (moment.first + moment.last) / 2 : null),

  typedSteps: (first, last) => {
    if (dash_clientside.callback_context.triggered_id === "run-all") htga.steps.show();
    else if (first && last) htga.steps.show(first, last);
  },

  // The first call, at load, has no click behind it: it says what was chosen before.
  chooseTheme: async (_auto, _light, _dark, drawn) => {
    const clicked = dash_clientside.callback_context.triggered_id;
    const choices = ["auto", "light", "dark"];
    if (clicked) htga.theme.choose(clicked.replace("theme-", ""));
    const other = htga.theme.resolved() !== drawn;
    if (other) await htga.theme.turns();
    htga.theme.said = true;
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
    if (!changes.all && added.length + gone.length) htga.live.ask("counts");
    htga.live.landed(null);
    return [changes.hint ?? dash_clientside.no_update, changes.shown ?? dash_clientside.no_update];
  },

  groupRuns: async (by, columns, grid) => {
    const settings = columns === "settings";
    htga.address.say({ by: by || [], columns: settings ? [columns] : [] });
    htga.table.group(await htga.grid(grid), { by: by || [], settings });
  },

  loadMoreRuns: (_clicks, limit) => limit + Number(document.getElementById("runs-more").dataset.more),

  // Another search, or more runs of it: all rows are asked for.
  searchRuns: (text) => {
    htga.address.say({ q: text ? [text] : [] });
    htga.live.ask("*");
  },

  // Something was done to the runs that were marked.
  bulkDone: () => {
    for (const open of document.querySelectorAll("dialog[open]")) open.close();
    htga.table.deselect();
  },

  // The comparison has been drawn, or what is on screen gets new figures.
  compared: async () => {
    await htga.graphs.settled();
    htga.live.landed(null);
    htga.tick();
  },

  edited: () => document.getElementById("edit").close(),

  // A row of the picture of layers was clicked: a layer is pinned, or no longer; a few are opened.
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
    htga.address.say({
      layers: key === "alpha_hat" ? [] : [key],
      as: form === "map" ? [] : [form],
      order: order === "telling" ? [] : [order],
      match: match ? [match] : [],
      among: among || [],
      layer: pinned || [],
    }),

  answered: () => htga.live.landed(null),

  // The address says what is on screen, without a step back for every turn of a knob.
  keepAddress: (query) => history.replaceState(null, "", location.pathname + query),
};

// What a store among the children of a page held when the page came.
htga.held = (children, named) => children.find((one) => one?.props && named(one.props.id))?.props.data;

// Resolves when all that was handed over for a page is on screen; `view` is what that of a run shows.
htga.settled = async (view) => {
  await htga.graphs.settled();
  htga.live.landed(view);
  htga.tick();
  if (view) htga.sections.landed(view);
};

// Resolves when the figures may be asked for in another theme.
htga.theme.turns = async () => {
  await htga.live.quiet();
  if (htga.live.page()?.dataset.run) htga.live.expectAnswer();
};

// The address says what is on screen, by names that have values; what it says besides stays.
htga.address = {
  say: (said) => {
    const query = new URLSearchParams(location.search);
    for (const [name, values] of Object.entries(said)) {
      query.delete(name);
      for (const value of values) query.append(name, value);
    }
    history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : ""));
  },
};

// Which steps the page of a run shows: in its store, its two numbers, and its address. No steps are
// all there are.
htga.steps = (() => {
  const said = () => new URLSearchParams(location.search).get("steps") || "";

  // A chart was zoomed along its steps, or let go: all others follow.
  const zoomed = (said) => {
    if ("xaxis.range[0]" in said) {
      const [first, last] = [said["xaxis.range[0]"], said["xaxis.range[1]"]].map(Number);
      show(Math.max(0, Math.ceil(first)), Math.floor(last));
    } else if (said["xaxis.autorange"]) show();
  };

  const show = async (first = "", last = "") => {
    // What makes no stretch, such as a word typed for a number, changes nothing.
    if (first !== "" && !(Number(first) <= Number(last))) return;
    const text = first === "" ? "" : `${Number(first)}-${Number(last)}`;
    if (text === said()) return;
    htga.address.say({ steps: text ? [text] : [] });
    if (!text) htga.graphs.release();
    await htga.live.quiet();
    if (text !== said()) return; // the reader has gone on
    htga.live.expectAnswer();
    dash_clientside.set_props("run-steps", { data: text });
    dash_clientside.set_props("run-first", { value: String(first) });
    dash_clientside.set_props("run-last", { value: String(last) });
  };

  return { show, zoomed };
})();

htga.theme.system.addEventListener("change", async () => {
  // While the page loads, Dash takes no word from outside; its first call asks by itself.
  if (htga.theme.choice() !== "auto" || !htga.theme.said) return;
  await htga.theme.turns();
  dash_clientside.set_props("theme", { data: htga.theme.resolved() });
});

// Ctrl + Enter in a text that is asked asks it.
addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  if (event.target.id === "query-sql") document.getElementById("query-ask").click();
});

// Three things that Dash's components leave out: the name of a slider's thumb, which its surroundings
// say in `data-label`; its value, beside that name; and that it is the button of a dropdown, which
// has a name, that takes the focus, and not a hidden field beside it.
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

"use strict";
// The table of runs: its cells, and how changed rows get in without losing sort, selection or scroll.
// Text from users becomes text nodes only.
(() => {
  const { createElement } = React;

  const number = (value, digits = 4) => {
    if (value === null || value === undefined) return "–";
    if (typeof value === "string") return value.replace("Infinity", "∞").replace("-", "−");
    const size = Math.abs(value);
    if (size >= 1e6 || (size > 0 && size < 1e-3))
      return value.toExponential(digits - 1).replace("e+", "e");
    if (size >= 1000) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(digits)));
  };

  // Finite values by size; infinities at the ends, missing values and NaN first.
  const rank = (value) => {
    const size = value === null || value === undefined ? NaN : Number(value);
    return Number.isNaN(size) ? -Infinity : size;
  };
  const compare = (a, b) => (rank(a) === rank(b) ? 0 : rank(a) < rank(b) ? -1 : 1);

  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  functions.htgaNumber = ({ value, data, column }) => {
    const sd = data.sd && data.sd[column.getColId()];
    return sd === null || sd === undefined ? number(value) : `${number(value, 3)} ± ${number(sd, 2)}`;
  };
  // A group's name may be long, and its runs may be of several projects.
  functions.htgaSpan = ({ data, api }) => (data.members && api.getColumn("project").isVisible() ? 2 : 1);
  functions.htgaStep = (value) => (value === null ? "–" : Math.round(value).toLocaleString("en"));
  functions.htgaCompare = compare;
  functions.htgaAgo = (unix) => htga.ago(unix);
  functions.htgaDate = (unix) => htga.date(unix);

  // The settings that the table is grouped by, the groups that are open, whether the settings that
  // differ have columns, and how many runs match and how many there are.
  const view = { by: [], open: new Set(), settings: false, matching: 0, total: 0 };

  const runsOf = (api) => {
    const rows = [];
    api.forEachNode(({ data }) => data.members || rows.push(data));
    return rows;
  };

  // The height of the table follows its rows, and without any run the page shows how to send one.
  const updateCount = (api) => {
    const page = document.querySelector("[data-rows]");
    const loaded = runsOf(api).length;
    const { matching, total } = view;
    page.dataset.rows = total;
    page.style.setProperty("--rows", Math.max(api.getDisplayedRowCount(), 1));
    const words = (count) => count.toLocaleString("en");
    const of = matching === total ? "" : `${words(matching)} of `;
    const part = loaded < matching ? `, the newest ${words(loaded)} loaded` : "";
    document.getElementById("runs-count").textContent =
      `${of}${words(total)} run${total === 1 ? "" : "s"}${part}`;
    document.getElementById("runs-more").hidden = loaded >= matching;
  };

  const isShown = ({ data }) =>
    Boolean(data.members) || !view.by.length || view.open.has(htga.groups.idOf(data, view.by));

  // Each group is followed by its runs, whatever the sort order.
  const underGroups = ({ nodes }) => {
    if (!view.by.length) return;
    const runs = Map.groupBy(
      nodes.filter(({ data }) => !data.members),
      ({ data }) => htga.groups.idOf(data, view.by),
    );
    const groups = nodes.filter(({ data }) => data.members);
    nodes.splice(0, nodes.length, ...groups.flatMap((node) => [node, ...(runs.get(node.data.id) || [])]));
  };

  functions.htgaFilters = () => view.by.length > 0;
  functions.htgaIsShown = isShown;
  functions.htgaUnderGroups = underGroups;

  // The rows of groups are built again from the runs that are there now.
  const regroup = (api) => {
    const groups = view.by.length ? htga.groups.rowsOf(runsOf(api), view.by) : [];
    const made = new Set(groups.map(({ id }) => id));
    const gone = [];
    api.forEachNode(({ data }) => data.members && !made.has(data.id) && gone.push({ id: data.id }));
    if (groups.length || gone.length)
      api.applyTransaction({
        add: groups.filter(({ id }) => !api.getRowNode(id)),
        update: groups.filter(({ id }) => api.getRowNode(id)),
        remove: gone,
      });
    // Filtering draws all rows again, a third of the time that the table takes to appear.
    if (groups.length || gone.length) api.onFilterChanged();
    updateCount(api);
    layoutColumns(api);
  };

  // Columns for the settings in which the runs differ.
  const MAX_SETTINGS = 12;
  const SETTING = "setting ";
  const settingColumns = (rows) => {
    const values = new Map();
    for (const { config } of rows) for (const name of Object.keys(config)) values.set(name, new Set());
    for (const [name, found] of values) for (const { config } of rows) found.add(config[name]);
    const differing = [...values].filter(([, found]) => found.size > 1).map(([name]) => name);
    return differing.slice(0, MAX_SETTINGS).map((name) => ({
      colId: SETTING + name,
      headerName: name,
      valueGetter: ({ data }) => (data.config ? (data.config[name] ?? "") : ""),
      comparator: (a, b) => compare(a, b) || String(a).localeCompare(b),
      width: 104,
    }));
  };

  const setColumns = (api) => {
    const before = api.getColumnDefs();
    const own = before.filter(({ colId }) => !colId.startsWith(SETTING));
    const settings = view.settings ? settingColumns(runsOf(api)) : [];
    if (!settings.length && own.length === before.length) return;
    own.splice(own.findIndex(({ colId }) => colId === "group"), 0, ...settings);
    api.setGridOption("columnDefs", own);
  };

  // Columns without any value are hidden. A narrow screen shows the three that matter most; the rest is
  // one tap away, on the page of the run.
  const MAY_BE_EMPTY = ["gamma", "loss", "group", "tags"];
  const NARROW = new Set(["name", "state", "alpha_bar"]);
  const NUMBERS = ["alpha_bar", "gamma", "grad_norm", "loss"];
  const layoutColumns = (api) => {
    const wide = document.querySelector("[data-rows]").clientWidth >= 640;
    const rows = runsOf(api);
    const has = (row, id) => row[id] !== null && row[id] !== "";
    const empty = new Set(MAY_BE_EMPTY.filter((id) => !rows.some((row) => has(row, id))));
    const shown = (id) => id.startsWith("ag-Grid") || NARROW.has(id) || (wide && !empty.has(id));
    const columns = api.getColumns().map((column) => [column.getColId(), column.isVisible()]);
    for (const visible of [true, false]) {
      const turned = columns.filter(([id, is]) => shown(id) === visible && is !== visible);
      if (turned.length) api.setColumnsVisible(turned.map(([id]) => id), visible);
    }
    if (view.by.length) api.autoSizeColumns(NUMBERS); // "1.5 ± 0.71" is longer than a number
  };

  // Tell the actions which runs are selected.
  const updateSelection = (api) => {
    const runs = api.getSelectedRows().map((row) => row.id);
    document.querySelector("[data-rows]").dataset.marked = runs.length;
    dash_clientside.set_props("runs-marked", { data: runs });
    dash_clientside.set_props("runs-compare", {
      href: `${htga.root}/compare?runs=${runs.join(",")}`,
      children: `Compare ${runs.length}`,
    });
  };

  // Connect the events of a new table.
  const attached = new WeakSet();
  const attach = (api) => {
    if (attached.has(api)) return;
    attached.add(api);
    api.addEventListener("modelUpdated", () => updateCount(api));
    api.addEventListener("gridSizeChanged", () => layoutColumns(api));
    api.addEventListener("selectionChanged", () => updateSelection(api));
  };

  window.htga = window.htga || {};
  htga.table = {
    group: (api, { by, settings }) => {
      Object.assign(view, { by, settings });
      attach(api);
      setColumns(api);
      regroup(api);
    },
    // The rows have changed, and with them, where they were counted, the numbers of runs.
    changed: (api, { all, matching = view.matching, total = view.total }) => {
      Object.assign(view, { matching, total });
      attach(api);
      if (all && view.settings) setColumns(api);
      regroup(api);
    },
    deselect: async () => (await htga.grid("runs-grid")).deselectAll(),
  };

  const components = (window.dashAgGridComponentFunctions =
    window.dashAgGridComponentFunctions || {});
  components.HtgaRunLink = ({ data, value, api }) => {
    if (!data.members)
      return createElement(
        window.dash_core_components.Link,
        {
          href: `${htga.root}/run/${encodeURIComponent(data.id)}`,
          className: view.by.length ? "run-link member" : "run-link",
        },
        value || data.id,
      );
    const open = view.open.has(data.id);
    const toggle = () => {
      if (open) view.open.delete(data.id);
      else view.open.add(data.id);
      api.onFilterChanged();
      api.refreshCells({ force: true, rowNodes: [api.getRowNode(data.id)] });
    };
    return createElement(
      "button",
      { className: "group-row", "aria-expanded": open, onClick: toggle },
      value,
    );
  };
  components.HtgaState = ({ data, value }) =>
    data.members
      ? createElement("span", { className: "members" }, `n = ${data.members}`)
      : createElement("span", { className: `state ${value}` }, value);
})();

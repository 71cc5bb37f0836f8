"use strict";
// The table of runs: how its cells look, and how changed rows get in without losing sort,
// selection or scroll. Text from outside becomes text nodes only.
(() => {
  const { createElement } = React;

  const number = (value) => {
    if (value === null || value === undefined) return "–";
    if (typeof value === "string") return value.replace("Infinity", "∞").replace("-", "−");
    const size = Math.abs(value);
    if (size >= 1e6 || (size > 0 && size < 1e-3))
      return value.toExponential(3).replace("e+", "e");
    if (size >= 1000) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(4)));
  };

  // Finite values by size; infinities at the ends, what is not measured or not a number first.
  const rank = (value) => {
    const size = value === null || value === undefined ? NaN : Number(value);
    return Number.isNaN(size) ? -Infinity : size;
  };
  const compare = (a, b) => (rank(a) === rank(b) ? 0 : rank(a) < rank(b) ? -1 : 1);

  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  functions.htgaNumber = number;
  functions.htgaStep = (value) => (value === null ? "–" : value.toLocaleString("en"));
  functions.htgaCompare = compare;
  functions.htgaAgo = (unix) => htga.ago(unix);
  functions.htgaDate = (unix) => htga.date(unix);
  functions.htgaNothing = () => "";

  // The height of the table follows its rows, and with no rows at all the page says what to do.
  const counted = (api) => {
    let rows = 0;
    api.forEachNode(() => (rows += 1));
    const page = document.querySelector("[data-rows]");
    page.dataset.rows = rows;
    page.style.setProperty("--rows", Math.max(api.getDisplayedRowCount(), 1));
    document.getElementById("runs-count").textContent = rows.toLocaleString("en");
  };

  // On a narrow screen only what tells most; the rest is one tap away, on the page of the run.
  const fit = (api) => {
    const columns = ["project", "step", "gamma", "grad_norm", "loss", "group", "tags", "started"];
    api.setColumnsVisible(columns, document.querySelector("[data-rows]").clientWidth >= 640);
  };

  // The link to the comparison leads to the runs that are marked.
  const marked = (api) => {
    const runs = api.getSelectedRows().map((row) => row.id);
    const link = document.getElementById("runs-compare");
    link.dataset.marked = runs.length;
    dash_clientside.set_props("runs-compare", {
      href: `/compare?runs=${runs.join(",")}`,
      children: `Compare ${runs.length}`,
    });
  };

  // A table has come on screen.
  window.htga = window.htga || {};
  htga.watchTable = async (id) => {
    const api = await dash_ag_grid.getApiAsync(id);
    api.addEventListener("modelUpdated", () => counted(api));
    api.addEventListener("gridSizeChanged", () => fit(api));
    api.addEventListener("selectionChanged", () => marked(api));
    counted(api);
    fit(api);
  };

  const components = (window.dashAgGridComponentFunctions =
    window.dashAgGridComponentFunctions || {});
  components.HtgaRunLink = ({ data, value }) =>
    createElement(
      window.dash_core_components.Link,
      { href: `/run/${encodeURIComponent(data.id)}`, className: "run-link" },
      value || data.id,
    );
  components.HtgaState = ({ value }) =>
    createElement("span", { className: `state ${value}` }, value);
})();

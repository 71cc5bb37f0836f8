"use strict";
// Graphs that grow. What is to be appended to a graph out of sight waits until it is scrolled into
// view, and between two graphs the browser gets to do other things: drawing is what costs most.
// All of it keeps what the reader has zoomed to.
window.htga = window.htga || {};

htga.graphs = (() => {
  const waiting = new Map(); // from a graph to what was not appended to it yet

  const AT_MOST_MS = 1000; // to wait for one drawing

  const MARKED = ["tail", "heat", "layers"]; // graphs that show the chosen moment
  let moment = null; // a step

  const breathe = () => new Promise((resolve) => setTimeout(resolve));

  const graphOf = (name) => {
    const host = document.getElementById(JSON.stringify({ name, type: "chart" }));
    return host && host.querySelector(".js-plotly-plot");
  };

  const inSight = (graph) => {
    const { top, bottom } = graph.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };

  const draw = async (graph) => {
    const extensions = waiting.get(graph);
    // A graph that has not been plotted yet has nothing to append to.
    if (!extensions || !graph.data) return;
    waiting.delete(graph);
    const [{ ...all }, traces] = extensions[0];
    for (const [more] of extensions.slice(1))
      for (const key of Object.keys(all))
        all[key] = all[key].map((values, trace) => values.concat(more[key][trace]));
    await Plotly.extendTraces(graph, all, traces);
  };

  const drawInSight = async () => {
    for (const graph of [...waiting.keys()]) {
      if (!graph.isConnected) waiting.delete(graph);
      else if (inSight(graph)) {
        await draw(graph);
        await breathe();
      }
    }
  };

  // A line at the chosen moment; a graph that was drawn anew has lost it.
  const markIn = (graph) => {
    const before = graph.layout.shapes || [];
    const shapes = before.filter(({ name }) => name !== "moment");
    if (moment !== null)
      shapes.push({
        name: "moment",
        type: "line",
        yref: "paper",
        ...{ x0: moment, x1: moment, y0: 0, y1: 1 },
        line: { color: getComputedStyle(graph).color, width: 1.5 },
      });
    if (moment !== null || shapes.length !== before.length) Plotly.relayout(graph, { shapes });
  };

  const mark = (step = moment) => {
    moment = step;
    for (const graph of MARKED.map(graphOf)) if (graph && graph.layout) markIn(graph);
  };

  // Append to every graph, by its name, an extension as figures/extension.py makes it.
  const append = (extensions) => {
    for (const [name, extension] of Object.entries(extensions)) {
      const graph = graphOf(name);
      if (graph) waiting.set(graph, [...(waiting.get(graph) || []), extension]);
    }
    return drawInSight();
  };

  // Give every graph, by its name, a new figure. Dash's graph writes a zoom into the figure that it
  // holds, so plotly no longer knows it for the reader's own and `uirevision` does not save it.
  const redraw = async (figures) => {
    waiting.clear();
    for (const [name, figure] of Object.entries(figures)) {
      const graph = graphOf(name);
      if (!graph || !graph.layout) continue;
      for (const axis of ["xaxis", "yaxis"]) {
        const { autorange, range } = graph.layout[axis];
        // Where the figure says which stretch it shows, it is that one.
        if (autorange === false && !("autorange" in figure.layout[axis]))
          Object.assign(figure.layout[axis], { autorange, range });
      }
      // A figure that is the same to the last number is not drawn again.
      const drawn = new Promise((resolve) => {
        graph.once("plotly_afterplot", resolve);
        setTimeout(resolve, AT_MOST_MS);
      });
      dash_clientside.set_props({ name, type: "chart" }, { figure });
      await drawn;
      await breathe();
    }
    mark();
  };

  // Forget what the reader has zoomed to.
  const release = () => {
    for (const graph of document.querySelectorAll(".js-plotly-plot"))
      if (graph.layout) graph.layout.yaxis.autorange = true;
  };

  addEventListener("scroll", drawInSight, { passive: true });
  addEventListener("resize", drawInSight);

  return { append, redraw, release, mark, forget: () => waiting.clear() };
})();

"use strict";
// Graphs that grow. What is to be appended to a graph out of sight waits until it is scrolled into
// view, and between two graphs the browser gets to do other things: drawing is what costs most.
window.htga = window.htga || {};

htga.growth = (() => {
  const waiting = new Map(); // from a graph to what was not appended to it yet

  const graphOf = (name) => {
    const id = JSON.stringify({ name, type: "chart" });
    const host = document.getElementById(id);
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
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
  };

  // Append to every graph, by its name, an extension as figures/extension.py makes it.
  const append = (extensions) => {
    for (const [name, extension] of Object.entries(extensions)) {
      const graph = graphOf(name);
      if (graph) waiting.set(graph, [...(waiting.get(graph) || []), extension]);
    }
    return drawInSight();
  };

  addEventListener("scroll", drawInSight, { passive: true });
  addEventListener("resize", drawInSight);

  return { append, forget: () => waiting.clear() };
})();

"use strict";
// Draws figures, those in view first and one at a time: drawing costs most, and between two figures the
// browser handles other work. Figures out of view are drawn when the browser is idle; points to append
// wait until their graph is scrolled into view. The reader's zoom is kept.
window.htga = window.htga || {};

htga.graphs = (() => {
  const CONFIG = {
    displaylogo: false,
    doubleClick: "autosize",
    modeBarButtons: [["autoScale2d", "toImage"]],
    toImageButtonOptions: { format: "png", scale: 2 },
  };
  const MARKED = ["tail", "heat", "layers"]; // graphs that mark the chosen step

  const due = new Map(); // from the name of a graph to what it lacks: {figure, growth}
  let marked = null; // the chosen step
  let released = 0; // how often the zoom was reset
  let working = null; // promise of the drawing under way

  const nextTick = () => new Promise((resolve) => setTimeout(resolve));
  const whenIdle = () =>
    new Promise((resolve) =>
      window.requestIdleCallback ? requestIdleCallback(resolve, { timeout: 500 }) : setTimeout(resolve, 50),
    );

  const placeOf = (name) => document.getElementById(JSON.stringify({ name, type: "chart" }));
  const plotIn = (place) => place && place.querySelector(".js-plotly-plot");

  // Draws a graph that comes into view, by scrolling or because what hid it is gone.
  const watcher = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && work(), {
    rootMargin: "150px",
  });
  const sizes = new ResizeObserver((changed) => {
    for (const { target } of changed)
      if (target.isConnected && target.offsetParent && target._fullLayout)
        requestAnimationFrame(() => target.isConnected && Plotly.Plots.resize(target));
  });

  const inView = (place) => {
    const { top, bottom, width } = place.getBoundingClientRect();
    return width > 0 && bottom > -150 && top < innerHeight + 150;
  };

  const line = (plot) => ({
    name: "step",
    type: "line",
    yref: "paper",
    ...{ x0: marked, x1: marked, y0: 0, y1: 1 },
    line: { color: getComputedStyle(plot).color, width: 1.5 },
  });

  // Connect the events of a graph drawn for the first time.
  const attach = (place, plot) => {
    const { along, clicks } = place.dataset;
    if (along === "steps") plot.on("plotly_relayout", (ranges) => htga.steps.zoomed(ranges));
    plot.on("plotly_click", ({ points: [point] }) => {
      if (along === "steps") htga.snapshot.choose(point.x);
      if (clicks) dash_clientside.set_props(clicks, { data: { y: point.y, at: performance.now() } });
    });
    if (place.id.includes('"hill"')) htga.snapshot.draggable(plot);
    sizes.observe(plot);
  };

  const plot = async (place, { data, layout }) => {
    const before = plotIn(place);
    layout.uirevision = `${layout.uirevision} ${released}`;
    const host = before || place.appendChild(document.createElement("div"));
    if (marked !== null && MARKED.some((name) => place.id.includes(`"${name}"`)))
      layout.shapes = [...(layout.shapes || []), line(place)];
    await Plotly.react(host, data, layout, CONFIG);
    if (!before) attach(place, host);
  };

  const extend = async (host, growth) => {
    if (!host) return; // not drawn yet, so there is nothing to append to
    const [{ ...all }, traces] = growth[0];
    for (const [more] of growth.slice(1))
      for (const key of Object.keys(all))
        all[key] = all[key].map((values, trace) => values.concat(more[key][trace]));
    await Plotly.extendTraces(host, all, traces);
  };

  const drawOne = async (name, place) => {
    const { figure, growth } = due.get(name);
    due.delete(name);
    if (figure) await plot(place, figure);
    if (growth.length) await extend(plotIn(place), growth);
  };

  const next = (wanted) => {
    for (const name of due.keys()) {
      const place = placeOf(name);
      if (place && wanted(place, name)) return [name, place];
    }
    return null;
  };

  const drawAll = async (wanted, rest) => {
    for (let found = next(wanted); found; found = next(wanted)) {
      await drawOne(...found);
      await rest();
    }
  };

  // Resolves when everything in view is drawn.
  const work = () =>
    (working ||= (async () => {
      // React mounts the places of new figures within this tick.
      if ([...due.values()].some(({ figure }) => figure)) await nextTick();
      if (due.size) await htga.plotly();
      await drawAll(inView, nextTick);
    })().finally(() => {
      working = null;
      for (const name of due.keys()) if (placeOf(name)) watcher.observe(placeOf(name));
      later();
    }));

  let resting = false;
  const later = async () => {
    const wanted = (place, name) => due.get(name).figure;
    if (resting || !next(wanted)) return;
    resting = true;
    await whenIdle();
    const found = working ? null : next(wanted);
    if (found) await drawOne(...found);
    resting = false;
    if (!working) later();
  };

  return {
    // Draw figures by their names.
    show: (figures) => {
      for (const [name, figure] of Object.entries(figures)) {
        due.delete(name);
        due.set(name, { figure, growth: [] });
      }
      return work();
    },
    // Append to every graph, by its name, an extension from figures/extension.py.
    append: (extensions) => {
      for (const [name, extension] of Object.entries(extensions)) {
        if (!due.has(name)) due.set(name, { figure: null, growth: [] });
        due.get(name).growth.push(extension);
      }
      return work();
    },
    // Resolves when everything given so far is on screen.
    rendered: async () => {
      await nextTick();
      await working;
    },
    // Drop figures of another page.
    forget: () => due.clear(),
    // Reset the zoom with the next figures.
    release: () => (released += 1),
    // Draw a line at the chosen step, or remove it.
    mark: (step) => {
      marked = step;
      for (const host of MARKED.map((name) => plotIn(placeOf(name)))) {
        if (!host || !host.layout) continue;
        const others = (host.layout.shapes || []).filter(({ name }) => name !== "step");
        if (step === null && others.length === (host.layout.shapes || []).length) continue;
        Plotly.relayout(host, { shapes: step === null ? others : [...others, line(host)] });
      }
    },
  };
})();

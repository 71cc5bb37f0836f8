"use strict";
// Figures, drawn where their places are in sight, one after the other: drawing is what costs most,
// and between two of them the browser gets to do other things. A figure whose place is out of sight
// is drawn when there is nothing else to do; what is only to be appended waits until it is scrolled
// into view. All of it keeps what the reader has zoomed to.
window.htga = window.htga || {};

htga.graphs = (() => {
  const CONFIG = {
    displaylogo: false,
    doubleClick: "autosize",
    modeBarButtons: [["autoScale2d", "toImage"]],
    toImageButtonOptions: { format: "png", scale: 2 },
  };
  const MARKED = ["tail", "heat", "layers"]; // graphs that show the chosen moment

  const due = new Map(); // from the name of a graph to what is to be drawn: {figure, growth}
  let moment = null; // a step
  let released = 0; // how often what the reader had zoomed to was let go
  let working = null; // the drawing that is under way

  const breathe = () => new Promise((resolve) => setTimeout(resolve));
  const idle = () =>
    new Promise((resolve) =>
      window.requestIdleCallback ? requestIdleCallback(resolve, { timeout: 500 }) : setTimeout(resolve, 50),
    );

  const placeOf = (name) => document.getElementById(JSON.stringify({ name, type: "chart" }));
  const plotIn = (place) => place && place.querySelector(".js-plotly-plot");

  // A place that comes into sight, by scrolling or because what hid it is gone, is drawn.
  const sight = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && work(), {
    rootMargin: "150px",
  });
  const sizes = new ResizeObserver((changed) => {
    for (const { target } of changed)
      if (target.isConnected && target.offsetParent && target._fullLayout)
        requestAnimationFrame(() => target.isConnected && Plotly.Plots.resize(target));
  });

  const inSight = (place) => {
    const { top, bottom, width } = place.getBoundingClientRect();
    return width > 0 && bottom > -150 && top < innerHeight + 150;
  };

  const line = (plot) => ({
    name: "moment",
    type: "line",
    yref: "paper",
    ...{ x0: moment, x1: moment, y0: 0, y1: 1 },
    line: { color: getComputedStyle(plot).color, width: 1.5 },
  });

  // What a graph that has been drawn for the first time tells.
  const listen = (place, plot) => {
    const { along, clicks } = place.dataset;
    if (along === "steps") plot.on("plotly_relayout", (said) => htga.steps.zoomed(said));
    plot.on("plotly_click", ({ points: [point] }) => {
      if (along === "steps") htga.moment.choose(point.x);
      if (clicks) dash_clientside.set_props(clicks, { data: { y: point.y, at: performance.now() } });
    });
    if (place.id.includes('"hill"')) htga.moment.draggable(plot);
    sizes.observe(plot);
  };

  const plot = async (place, { data, layout }) => {
    const before = plotIn(place);
    layout.uirevision = `${layout.uirevision} ${released}`;
    const host = before || place.appendChild(document.createElement("div"));
    if (moment !== null && MARKED.some((name) => place.id.includes(`"${name}"`)))
      layout.shapes = [...(layout.shapes || []), line(place)];
    await Plotly.react(host, data, layout, CONFIG);
    if (!before) listen(place, host);
  };

  const extend = async (host, growth) => {
    if (!host) return; // it has not been drawn, so there is nothing to append to
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

  // Resolves when all that is in sight is drawn.
  const work = () =>
    (working ||= (async () => {
      // React puts the places of new figures on the page in this turn.
      if ([...due.values()].some(({ figure }) => figure)) await breathe();
      if (due.size) await htga.plotly();
      await drawAll(inSight, breathe);
    })().finally(() => {
      working = null;
      for (const name of due.keys()) if (placeOf(name)) sight.observe(placeOf(name));
      later();
    }));

  let resting = false;
  const later = async () => {
    const wanted = (place, name) => due.get(name).figure;
    if (resting || !next(wanted)) return;
    resting = true;
    await idle();
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
    // Append to every graph, by its name, an extension as figures/extension.py makes it.
    append: (extensions) => {
      for (const [name, extension] of Object.entries(extensions)) {
        if (!due.has(name)) due.set(name, { figure: null, growth: [] });
        due.get(name).growth.push(extension);
      }
      return work();
    },
    // Resolves when whatever was handed over by now is on the screen.
    settled: async () => {
      await breathe();
      await working;
    },
    // Forget what belongs to another page.
    forget: () => due.clear(),
    // Let go what the reader has zoomed to, with the next figures.
    release: () => (released += 1),
    // A line at the chosen moment, or none.
    mark: (step) => {
      moment = step;
      for (const host of MARKED.map((name) => plotIn(placeOf(name)))) {
        if (!host || !host.layout) continue;
        const others = (host.layout.shapes || []).filter(({ name }) => name !== "moment");
        if (step === null && others.length === (host.layout.shapes || []).length) continue;
        Plotly.relayout(host, { shapes: step === null ? others : [...others, line(host)] });
      }
    },
  };
})();

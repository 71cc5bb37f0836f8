"use strict";
// The moment of a run that is looked at, and the size of its tail.
window.htga = window.htga || {};

htga.moment = (() => {
  const choose = (step) => dash_clientside.set_props("moment-at", { data: Math.max(0, Math.round(step)) });

  // Drag k through the Hill plot: its line and the index at it follow the pointer; the fit is drawn
  // when it is let go.
  const draggable = (plot) => {
    let held = null;

    const at = (event) => {
      const { xaxis } = plot._fullLayout;
      const { left } = plot.getBoundingClientRect();
      const wanted = Math.log(xaxis.p2d(event.clientX - left - xaxis._offset));
      const { x, y, customdata } = plot.data[1];
      const away = (place) => Math.abs(Math.log(x[place]) - wanted);
      const place = x.reduce((best, _, here) => (away(here) < away(best) ? here : best), 0);
      return { k: x[place], alpha: y[place], stderr: customdata[place] };
    };

    const follow = (event) => {
      const { k, alpha, stderr } = (held = at(event));
      const said = `k = ${k.toLocaleString("en")}: ${alpha.toFixed(3)} ± ${stderr.toPrecision(2)}`;
      Plotly.relayout(plot, {
        "shapes[0].x0": k,
        "shapes[0].x1": k,
        "shapes[0].label.text": said,
      });
    };

    plot.addEventListener(
      "pointerdown",
      (event) => {
        if (!event.target.closest(".nsewdrag") || !plot.layout.shapes?.length) return;
        plot.setPointerCapture(event.pointerId);
        follow(event);
      },
      true,
    );
    plot.addEventListener("pointermove", (event) => held && follow(event), true);
    plot.addEventListener("pointerup", () => {
      if (held) dash_clientside.set_props("moment-k", { value: String(held.k) });
      held = null;
    });
    plot.addEventListener("pointercancel", () => (held = null));
  };

  return { choose, draggable };
})();

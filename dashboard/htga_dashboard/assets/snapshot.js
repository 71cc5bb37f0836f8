"use strict";
// The step whose tail is shown, and the size k of that tail.
window.htga = window.htga || {};

htga.snapshot = (() => {
  const choose = (step) => dash_clientside.set_props("snapshot-at", { data: Math.max(0, Math.round(step)) });

  // Drag k through the Hill plot: the line and its label follow the pointer, and the fit is drawn on
  // release.
  const draggable = (plot) => {
    let dragged = null;

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
      const { k, alpha, stderr } = (dragged = at(event));
      const text = `k = ${k.toLocaleString("en")}: ${alpha.toFixed(3)} ± ${stderr.toPrecision(2)}`;
      Plotly.relayout(plot, {
        "shapes[0].x0": k,
        "shapes[0].x1": k,
        "shapes[0].label.text": text,
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
    plot.addEventListener("pointermove", (event) => dragged && follow(event), true);
    plot.addEventListener("pointerup", () => {
      if (dragged) dash_clientside.set_props("snapshot-k", { value: String(dragged.k) });
      dragged = null;
    });
    plot.addEventListener("pointercancel", () => (dragged = null));
  };

  return { choose, draggable };
})();

// The pointer over a chart: a vertical line, and the nearest drawn value of each curve.
#include "tools/report/page.h"

namespace ab::report {

const char* const kPageScript = R"js("use strict";
(() => {
  const tip = document.getElementById("tip");
  const share = (axis, x) => axis.log
    ? Math.log(x / axis.low) / Math.log(axis.high / axis.low)
    : (x - axis.low) / (axis.high - axis.low);
  const value = (axis, s) => axis.log
    ? axis.low * Math.pow(axis.high / axis.low, s)
    : axis.low + s * (axis.high - axis.low);
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle; else high = middle;
    }
    return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
  };
  const line = (text, css) => {
    const row = document.createElement("div");
    if (css) {
      const mark = document.createElement("span");
      mark.className = "mark " + css;
      row.append(mark);
    }
    row.append(text);
    return row;
  };
  for (const figure of document.querySelectorAll("figure.chart")) {
    const plot = figure.querySelector(".plot"), svg = plot.firstElementChild;
    let data = null, cross = null;
    const leave = () => {
      tip.hidden = true;
      if (cross) cross.remove();
      cross = null;
    };
    const show = event => {
      data = data || JSON.parse(figure.querySelector("script").textContent);
      const box = plot.getBoundingClientRect();
      const s = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      const wanted = value(data.x, s), rows = [];
      let at = null;
      for (const curve of data.curves) {
        if (!curve.x.length) continue;
        const i = nearest(curve.x, wanted);
        if (at === null || Math.abs(curve.x[i] - wanted) < Math.abs(at - wanted)) at = curve.x[i];
        rows.push([curve, i]);
      }
      if (at === null) return;
      tip.replaceChildren(line(data.x.title + " " + at), ...rows.map(([curve, i]) =>
        line(curve.name + ": " + curve.y[i] + (curve.x[i] === at ? "" : " (at " + curve.x[i] + ")"),
             curve.css)));
      tip.hidden = false;
      const width = tip.offsetWidth, left = event.clientX + 14;
      tip.style.left = Math.max(4, left + width > innerWidth - 8 ? event.clientX - 14 - width : left) + "px";
      tip.style.top = Math.max(4, Math.min(event.clientY + 12, innerHeight - tip.offsetHeight - 8)) + "px";
      if (!cross) {
        cross = svg.querySelector(".grid").cloneNode();
        cross.setAttribute("class", "cross");
        svg.append(cross);
      }
      cross.setAttribute("d", "M" + 1000 * share(data.x, at) + " 0V1000");
    };
    plot.addEventListener("pointermove", show);
    plot.addEventListener("pointerdown", show);
    plot.addEventListener("pointerleave", leave);
  }
})();
)js";

}  // namespace ab::report

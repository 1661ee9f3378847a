// Reads the values under the pointer, or under the cross that the arrow keys move.
"use strict";
(() => {
  const number = (value) => {
    const size = Math.abs(value);
    if (value === 0) return "0";
    if (size >= 1000) return Math.round(value).toLocaleString("en");
    return size < 0.001 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  };
  // From a place on an axis to its value: the ends of both, and the kind, stand in the attribute.
  const axis = (text) => {
    const [low, high, start, end] = text.split(" ").slice(0, 4).map(Number);
    const share = (place) => (place - start) / (end - start);
    return {
      start, end,
      value: text.endsWith("log")
        ? (place) => low * Math.pow(high / low, share(place))
        : (place) => low + (high - low) * share(place),
    };
  };
  const nearest = (points, x) => {
    let best = null;
    for (const point of points) {
      if (best === null || Math.abs(point[0] - x) < Math.abs(best[0] - x)) best = point;
    }
    return best;
  };
  for (const chart of document.querySelectorAll("svg.chart")) {
    const x = axis(chart.dataset.x), y = axis(chart.dataset.y);
    const cross = chart.querySelector(".cross");
    const output = chart.closest("figure").querySelector("output");
    let lines = null, at = x.end;
    const read = () => [...chart.querySelectorAll("polyline.read")].map((line) => ({
      name: line.dataset.name,
      group: line.parentNode,
      points: line.getAttribute("points").split(" ").map((point) => point.split(",").map(Number)),
    }));
    const show = (place) => {
      at = Math.min(Math.max(place, x.start), x.end);
      lines = lines || read();
      const seen = lines.filter((line) => getComputedStyle(line.group).display !== "none");
      const values = seen.map((line) => {
        const point = nearest(line.points, at);
        return point === null ? "" : `${line.name} ${number(y.value(point[1]))}`;
      });
      cross.setAttribute("x1", at);
      cross.setAttribute("x2", at);
      chart.classList.add("reading");
      output.textContent =
        `${chart.dataset.unit} ${Math.round(x.value(at)).toLocaleString("en")}: ` +
        values.filter(Boolean).join(" · ");
    };
    const hide = () => {
      chart.classList.remove("reading");
      output.textContent = "";
    };
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      show((event.clientX - box.left) / box.width * chart.viewBox.baseVal.width);
    });
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const step = (x.end - x.start) / (event.shiftKey ? 10 : 100);
      const move = { ArrowLeft: -step, ArrowRight: step }[event.key];
      if (move === undefined) return;
      event.preventDefault();
      show(at + move);
    });
  }
})();

// Which log has records when: layer by minute.
import { create } from "d3-selection";
import { folded, h, section, table } from "./dom.js";
import { clock, day, many, number } from "./text.js";
import { axis, steps } from "./steps.js";
import { hide, show } from "./tip.js";

const LEFT = 82;
const ROW = 24;

const wide = (width) => (width === 1 ? "one minute" : width < 60 ? `${width} minutes` : width < 1440 ? `${width / 60} h` : `${width / 1440} d`);
const said = (layer, [events, linked, covered]) =>
  events ? `${many(events, "event")}, ${number(linked)} of requests` : covered ? "silent: the log covers this time" : `no ${layer} log covers this time`;

export function coverage(facts) {
  const found = facts.coverage;
  const host = h("div", { class: "drawing", role: "img", "aria-label": "Heat map: events of each layer in each step of time. The table below holds the same numbers." });
  const made = section("coverage", "Coverage",
    "What the logs cover",
    h("p", { class: "quiet" }, `Each column is ${wide(found.width)}, by corrected time. Darker: more events, within a layer. `, facts.absence),
    h("ul", { class: "legend", "aria-hidden": "true" }, h("li", { class: "k-full" }, "events"), h("li", { class: "k-silent" }, "silent: a log covers it"), h("li", { class: "k-none" }, "no log covers it"), h("li", { class: "k-hit" }, "affected requests that began")),
    host,
    found.untimed ? h("p", { class: "quiet" }, `${many(found.untimed, "event")} state no time, and stand in no column.`) : null,
    folded(
      "The same as a table",
      table(
        "Events by step and layer: events (of these, in a request)",
        ["UTC", "minutes", ...found.layers.map((one) => one.layer), "requests begun", "affected"],
        found.steps.map((step, at) => [
          `${day(step.at)} ${clock(step.at, 0).slice(0, 5)}`,
          number(step.minutes),
          ...found.layers.map(({ cells }) => (cells[at][0] ? `${number(cells[at][0])} (${number(cells[at][1])})` : cells[at][2] ? "silent" : "no log")),
          number(found.requests[at]),
          number(found.affected[at]),
        ]),
      ),
    ),
  );
  const draw = () => host.clientWidth && host.replaceChildren(heat(facts, host.clientWidth));
  made.addEventListener("placed", draw);
  new ResizeObserver(draw).observe(host);
  return made;
}

function heat(facts, width) {
  const found = facts.coverage;
  const lines = found.layers.length + 1;
  const height = lines * ROW + 40;
  const scale = steps(found, LEFT, width - 4);
  const svg = create("svg").attr("width", width).attr("height", height).attr("class", "heat");
  const hatch = svg.append("defs").append("pattern").attr("id", "hatch").attr("width", 6).attr("height", 6).attr("patternUnits", "userSpaceOnUse").attr("patternTransform", "rotate(45)");
  hatch.append("line").attr("class", "hatch").attr("x1", 0).attr("x2", 0).attr("y1", 0).attr("y2", 6);
  const gap = scale.size > 6 ? 1 : 0;
  const box = (y, at, name) =>
    svg.append("rect").attr("class", name).attr("x", scale.at(at)).attr("y", y).attr("width", Math.max(scale.size - gap, 0.5)).attr("height", ROW - 3);
  const when = (step) => `${day(step.at)} ${clock(step.at, 0).slice(0, 5)} UTC, ${many(step.minutes, "minute")}`;
  const tell = (mark, lines_) =>
    mark.on("pointerenter", (event) => show(event, lines_)).on("pointerleave", hide);
  found.layers.forEach(({ layer, cells }, line) => {
    const y = line * ROW;
    svg.append("text").attr("class", "lane").attr("x", LEFT - 8).attr("y", y + 15).text(layer);
    const most = Math.max(1, ...cells.map(([events]) => events));
    cells.forEach((cell, at) => {
      const [events, , covered] = cell;
      const kind = events ? `cell l-${layer}` : covered ? "cell silent" : "cell none";
      const mark = box(y, at, kind);
      if (events) mark.attr("fill-opacity", 0.18 + 0.82 * Math.sqrt(events / most));
      tell(mark, [layer, when(found.steps[at]), said(layer, cell)]);
    });
  });
  const y = found.layers.length * ROW;
  svg.append("text").attr("class", "lane").attr("x", LEFT - 8).attr("y", y + 15).text("affected");
  const most = Math.max(1, ...found.affected);
  found.affected.forEach((count, at) => {
    const mark = box(y, at, count ? "cell hit" : "cell silent");
    if (count) mark.attr("fill-opacity", 0.18 + 0.82 * Math.sqrt(count / most));
    tell(mark, ["affected", when(found.steps[at]), `${number(count)} of ${many(found.requests[at], "request")} that began`]);
  });
  axis(svg, scale, lines * ROW);
  return svg.node();
}

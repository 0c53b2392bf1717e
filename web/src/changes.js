// What changed, or was seen to change, over the requests that began.
import { create } from "d3-selection";
import { h, section, table } from "./dom.js";
import { length, moment, number } from "./text.js";
import { axis, steps } from "./steps.js";
import { hide, show } from "./tip.js";
import { badge, cite } from "./words.js";

const LEFT = 82;
const BARS = 70;
const ROW = 26;
const BASES = { record: "a log says so", first_seen: "a value seen for the first time", last_seen: "a value seen no more", feed: "from a feed" };

const what = (row) => [row.scope, row.key].filter(Boolean).join(" ");
const turn = (row) => [row.old, row.new].map((one) => one ?? "?").join(" → ");

export function changes(facts, open) {
  const found = facts.changes;
  const host = h("div", { class: "drawing", role: "img", "aria-label": "Changes over time, above them the requests that began. The table below lists them." });
  const made = section("changes", "Changes",
    "What changed",
    h("p", { class: "quiet" }, "An order in time is not an effect. A bar is how far the time of a change may be off, by what is known of its clock."),
    facts.affected ? h("ul", { class: "legend", "aria-hidden": "true" }, h("li", { class: "k-begun" }, "requests that began"), h("li", { class: "k-hit" }, "of them affected"), h("li", { class: "k-moment" }, "named moments")) : null,
    host,
    found.length
      ? table(
          "Changes in order of time",
          ["no.", "UTC", "layer", "what", "old → new", "basis", "evidence"],
          found.map((row, at) => [
            number(at + 1),
            h("span", { class: "nowrap" }, moment(row.time)),
            row.layer ?? "",
            h("span", {}, what(row), row.service ? h("small", {}, row.service) : null),
            h("span", { class: "wrap" }, turn(row), row.reverts ? h("small", {}, "takes back an earlier one") : null),
            h("span", {}, badge(facts, row.status), ` ${BASES[row.basis] ?? row.basis}`, row.share !== undefined && row.share < 1 ? h("small", {}, `in ${Math.floor(row.share * 100)} % of the records from then on`) : null),
            cite(open, row.event, row.address),
          ]),
        )
      : h("p", {}, "No record of a change, and no value seen for the first time after the beginning."),
  );
  const draw = () => host.clientWidth && facts.coverage.steps.length && host.replaceChildren(drawing(facts, open, host.clientWidth));
  made.addEventListener("placed", draw);
  new ResizeObserver(draw).observe(host);
  return made;
}

function drawing(facts, open, width) {
  const { coverage, changes: found } = facts;
  const scale = steps(coverage, LEFT, width - 10);
  const layers = [...new Set(found.filter((one) => one.time !== undefined).map((one) => one.layer ?? "other"))];
  const moments = (facts.impact?.moments ?? []).filter((one) => one.time !== null);
  // Marks that would cover each other stand below each other.
  const place = (some, room) => {
    const ends = [];
    return some.map((one) => {
      const x = scale.x(one.time);
      let line = ends.findIndex((end) => end <= x);
      if (line < 0) line = ends.push(0) - 1;
      ends[line] = x + room;
      return { one, x, line };
    });
  };
  const rows = layers.map((layer) => place(found.filter((one) => one.time !== undefined && (one.layer ?? "other") === layer), 21));
  const tops = [];
  let y = BARS + 8 + (moments.length ? 18 : 0);
  for (const row of rows) {
    tops.push(y);
    y += Math.max(1, ...row.map((one) => one.line + 1)) * 20 + (ROW - 20);
  }
  const svg = create("svg").attr("width", width).attr("height", y + 36).attr("class", "changes");
  const most = Math.max(1, ...coverage.requests);
  const bar = (count, at, name) => {
    const tall = (count / most) * (BARS - 6);
    svg.append("rect").attr("class", name).attr("x", scale.at(at)).attr("y", BARS - tall).attr("width", Math.max(scale.size - 1, 0.5)).attr("height", tall);
  };
  svg.append("text").attr("class", "lane").attr("x", LEFT - 8).attr("y", BARS - 4).text("requests");
  svg.append("text").attr("class", "scale").attr("x", LEFT - 8).attr("y", 12).text(number(most));
  coverage.requests.forEach((count, at) => bar(count, at, "begun"));
  coverage.affected.forEach((count, at) => bar(count, at, "hit"));
  svg.append("line").attr("class", "base").attr("x1", LEFT).attr("x2", width - 10).attr("y1", BARS).attr("y2", BARS);
  for (const one of moments) {
    const x = scale.x(one.time);
    svg.append("path").attr("class", "moment").attr("d", `M${x} ${BARS + 6}l6 7l-6 7l-6 -7z`)
      .on("pointerenter", (event) => show(event, [one.moment, `${moment(one.time)} UTC`, one.meaning])).on("pointerleave", hide);
  }
  if (moments.length) svg.append("text").attr("class", "lane").attr("x", LEFT - 8).attr("y", BARS + 18).text("moments");
  layers.forEach((layer, at) => {
    svg.append("text").attr("class", "lane").attr("x", LEFT - 8).attr("y", tops[at] + 14).text(layer);
    svg.append("line").attr("class", "base").attr("x1", LEFT).attr("x2", width - 10).attr("y1", tops[at] - 3).attr("y2", tops[at] - 3);
    for (const { one, x, line } of rows[at]) {
      const middle = tops[at] + 9 + line * 20;
      svg.append("line").attr("class", "drop").attr("x1", x).attr("x2", x).attr("y1", 4).attr("y2", middle);
      if (one.doubt_ns) {
        svg.append("line").attr("class", "doubt").attr("x1", scale.x(one.time - one.doubt_ns / 1000)).attr("x2", scale.x(one.time + one.doubt_ns / 1000)).attr("y1", middle).attr("y2", middle);
      }
      const mark = svg.append("g").attr("class", `change l-${layer}`).attr("transform", `translate(${x},${middle})`);
      mark.append("circle").attr("r", 9).attr("class", one.basis.endsWith("_seen") ? "seen" : "stated");
      mark.append("text").attr("y", 4).text(found.indexOf(one) + 1);
      mark
        .on("pointerenter", (event) => show(event, [what(one), `${moment(one.time)} UTC`, turn(one), BASES[one.basis] ?? one.basis, one.doubt_ns === undefined ? "how far its clock is off is not known" : one.doubt_ns ? `within ${length(one.doubt_ns / 1000)}` : null]))
        .on("pointerleave", hide)
        .on("click", (event) => one.event && open(one.event, event.currentTarget));
    }
  });
  axis(svg, scale, y);
  return svg.node();
}

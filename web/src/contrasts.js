// What affected requests have more or less often than those they are compared with.
import { create } from "d3-selection";
import { scaleLinear } from "d3-scale";
import { folded, h, section, table } from "./dom.js";
import { many, number, share } from "./text.js";

const FIRST = 12;
const WIDTH = 150;

export function contrasts(facts) {
  if (!facts.affected) return null;
  const groups = [];
  const known = new Map();
  for (const row of facts.contrasts) {
    const same = row.group === undefined ? null : known.get(row.group);
    if (same) same.others.push(row);
    else {
      const made = { row, others: [] };
      groups.push(made);
      if (row.group !== undefined) known.set(row.group, made);
    }
  }
  const rows = (some) =>
    table(
      "Values that affected requests have more or less often",
      ["value", "affected", "compared", "0 – 100 %", "ratio", "first seen (UTC)"],
      some.map(({ row, others }) => [value(row, others), part(row.affected_with, row.affected_total), part(row.baseline_with, row.baseline_total), dumbbell(row), row.ratio === undefined ? "" : row.ratio.toPrecision(3), (row.first_seen ?? "").replace("T", " ").slice(0, 19)]),
      { class: "contrasts" },
    );
  return section("contrasts", "Differences",
    "What was different",
    h("p", { class: "quiet" }, facts.association, ` ${many(facts.compared, "value")} compared, ${number(facts.contrasts.length)} pass the rule.`),
    groups.length ? rows(groups.slice(0, FIRST)) : h("p", {}, "No value passes the rule."),
    groups.length > FIRST ? folded(`${number(groups.length - FIRST)} more`, rows(groups.slice(FIRST))) : null,
    h("h3", {}, "What was measured"),
    h("p", { class: "quiet" }, facts.measured_means, ` ${many(facts.measured, "measure")} compared, ${number(facts.measures.length)} pass the rule.`),
    facts.measures.length ? measures(facts.measures) : h("p", {}, "No measure passes the rule."),
  );
}

function value(row, others) {
  const marks = [
    row.separates ? "separates the two sets" : null,
    row.small ? "few affected requests" : null,
    row.flips ? "of another sign within some route" : null,
  ].filter(Boolean);
  return h(
    "span",
    { class: "value" },
    h("small", {}, row.dimension),
    h("span", { class: "wrap" }, row.value),
    marks.length ? h("em", {}, marks.join("; ")) : null,
    others.length
      ? folded(`cannot be told apart from ${number(others.length)} more`, h("ul", {}, others.map((one) => h("li", {}, `${one.dimension}: ${one.value}`))))
      : null,
  );
}

const measures = (some) =>
  table(
    "Numbers of affected requests and of those they are compared with",
    ["measure", "unit", "affected", "median", "95 % up to", "compared", "median", "95 % up to", "greater"],
    some.map((row) => [
      h("span", { class: "value" }, h("span", { class: "wrap" }, row.measure), row.small ? h("em", {}, "few affected requests") : null),
      row.unit, number(row.affected_n), figure(row.affected_median), figure(row.affected_p95), number(row.baseline_n), figure(row.baseline_median), figure(row.baseline_p95), `${Math.round(100 * row.greater)} %`,
    ]),
    { class: "contrasts" },
  );

const figure = (value) => Math.abs(value) >= 1000 ? number(Math.round(value)) : String(Number(value.toPrecision(3)));

const part = (some, all) => h("span", { class: "part" }, h("b", {}, share(some, all)), h("small", {}, `${number(some)} of ${number(all)}`));

function dumbbell(row) {
  const x = scaleLinear().domain([0, 1]).range([6, WIDTH - 6]);
  const here = row.affected_total ? row.affected_with / row.affected_total : 0;
  const there = row.baseline_total ? row.baseline_with / row.baseline_total : 0;
  const svg = create("svg").attr("width", WIDTH).attr("height", 20).attr("class", "dumbbell").attr("aria-hidden", "true");
  svg.append("line").attr("class", "rail").attr("x1", x(0)).attr("x2", x(1)).attr("y1", 10).attr("y2", 10);
  svg.append("line").attr("class", "gap").attr("x1", x(there)).attr("x2", x(here)).attr("y1", 10).attr("y2", 10);
  svg.append("circle").attr("class", "there").attr("cx", x(there)).attr("cy", 10).attr("r", 5);
  svg.append("circle").attr("class", "here").attr("cx", x(here)).attr("cy", 10).attr("r", 5);
  return svg.node();
}

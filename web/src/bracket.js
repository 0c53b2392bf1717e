// The bracket of one clock, on a scale that all clocks of the table share.
import { create } from "d3-selection";
import { scaleLinear } from "d3-scale";

const WIDTH = 240;

export function bracket(row, all) {
  if (row.reference || (row.lower === null && row.upper === null)) return "";
  const ends = all.flatMap((one) => [one.lower, one.upper, one.taken]).filter((one) => one !== null);
  const x = scaleLinear().domain([Math.min(0, ...ends), Math.max(0, ...ends)]).range([6, WIDTH - 6]);
  const svg = create("svg").attr("width", WIDTH).attr("height", 18).attr("class", "bracket").attr("aria-hidden", "true");
  svg.append("line").attr("class", "zero").attr("x1", x(0)).attr("x2", x(0)).attr("y1", 1).attr("y2", 17);
  const low = row.lower === null ? 0 : x(row.lower);
  const high = row.upper === null ? WIDTH : x(row.upper);
  svg.append("line").attr("class", "span").attr("x1", low).attr("x2", high).attr("y1", 9).attr("y2", 9);
  for (const [end, at] of [[row.lower, low], [row.upper, high]]) {
    if (end !== null) svg.append("line").attr("class", "span").attr("x1", at).attr("x2", at).attr("y1", 5).attr("y2", 13);
  }
  svg.append("circle").attr("class", "taken").attr("cx", x(row.taken)).attr("cy", 9).attr("r", 3);
  return svg.node();
}

// An axis of time made of steps of equal width: a minute or several, or a run in which no log has a record.
import { day, clock } from "./text.js";

export function steps(coverage, left, right) {
  const list = coverage.steps;
  const size = list.length ? (right - left) / list.length : 0;
  const long = (step) => step.minutes * 60e6;
  const x = (us) => {
    let place = 0;
    while (place < list.length - 1 && list[place + 1].at <= us) place += 1;
    const step = list[place];
    const within = step ? Math.min(Math.max((us - step.at) / long(step), 0), 1) : 0;
    return left + (place + within) * size;
  };
  const every = Math.max(1, Math.ceil(58 / Math.max(size, 1)));
  let date = "";
  const ticks = list
    .map((step, place) => ({ at: left + place * size, text: clock(step.at, 0).slice(0, 5), date: day(step.at) }))
    .filter((_, place) => place % every === 0);
  for (const tick of ticks) {
    if (tick.date === date) tick.date = "";
    else date = tick.date;
  }
  return { x, size, ticks, at: (place) => left + place * size };
}

export function axis(svg, scale, y) {
  const group = svg.append("g").attr("class", "axis").attr("aria-hidden", "true");
  for (const tick of scale.ticks) {
    group.append("line").attr("x1", tick.at).attr("x2", tick.at).attr("y1", y).attr("y2", y + 4);
    group.append("text").attr("x", tick.at).attr("y", y + 15).text(tick.text);
    if (tick.date) group.append("text").attr("x", tick.at).attr("y", y + 28).text(tick.date);
  }
}

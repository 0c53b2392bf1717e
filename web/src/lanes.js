// The lanes of one request: a lane for each layer, a mark for each event, a curve for each link.
import { axisTop } from "d3-axis";
import { scaleLinear } from "d3-scale";
import { create, select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";
import { h } from "./dom.js";
import { clock, length, since } from "./text.js";
import { tied } from "./evidence.js";
import { hide, show as tip } from "./tip.js";

const PRODUCT = ["prompt", "retrieval", "model", "policy", "ui"];
const TOP = 30;
const MARK = 13;
const LINE = 24;
const DEEPEST = 9;

export function lanes(pick, behind) {
  const flagged = (event) => (event.findings ?? []).some((id) => !behind.has(id));
  const host = h("div", { class: "drawing lanes" });
  const button = (text, label, act) => h("button", { type: "button", class: "plainbutton", "aria-label": label, title: label, onclick: act }, text);
  const byTime = h("button", { type: "button", class: "plainbutton", "aria-pressed": "true", onclick: () => mode("time") }, "By time");
  const byOrder = h("button", { type: "button", class: "plainbutton", "aria-pressed": "false", onclick: () => mode("order") }, "By order");
  const tools = h(
    "div",
    { class: "tools", role: "group", "aria-label": "View of the lanes" },
    byTime,
    byOrder,
    h("span", { class: "space" }),
    button("−", "Zoom out (−)", () => scaled(1 / 1.6)),
    button("+", "Zoom in (+)", () => scaled(1.6)),
    button("◀", "Earlier", () => moved(0.35)),
    button("▶", "Later", () => moved(-0.35)),
    button("Whole", "The whole request (0)", () => reset()),
  );
  const legend = h(
    "ul",
    { class: "legend", "aria-hidden": "true" },
    h("li", { class: "k-sure" }, "tied by ids"),
    h("li", { class: "k-inferred" }, "inferred, by text or time"),
    h("li", { class: "k-doubt" }, "how far its clock may be off"),
    h("li", { class: "k-flag" }, "shows a finding"),
    h("li", { class: "k-bad" }, "error or block"),
  );
  const hint = h("p", { class: "quiet screen", id: "lanes-hint" }, "Arrow keys walk through the events, Enter shows the evidence, + and − zoom, 0 shows the whole. Ctrl and wheel, or two fingers, zoom; dragging moves.");
  const element = h("div", { class: "lanesbox" }, tools, legend, host, hint);

  let request = null;
  let chosen = null;
  let focused = 0;
  let kind = "time";
  let transform = zoomIdentity;
  let svg = null;
  let drawn = null;
  const behaviour = zoom()
    .scaleExtent([1, 20000])
    .filter((event) => (event.type === "wheel" ? event.ctrlKey || event.metaKey : event.type.startsWith("touch") ? event.touches.length > 1 : !event.button))
    .on("zoom", (event) => {
      transform = event.transform;
      hide();
      place();
    });

  function mode(wanted) {
    kind = wanted;
    byTime.setAttribute("aria-pressed", String(kind === "time"));
    byOrder.setAttribute("aria-pressed", String(kind === "order"));
    transform = zoomIdentity;
    draw();
  }

  // By keyboard, about the event that has the focus.
  function scaled(by) {
    if (!svg) return;
    const within = host.contains(document.activeElement) && drawn.events[focused];
    behaviour.scaleBy(svg, by, within ? [transform.rescaleX(drawn.x)(drawn.from(within)), 0] : undefined);
  }
  const moved = (by) => svg && behaviour.translateBy(svg, (by * host.clientWidth) / transform.k, 0);
  const reset = () => svg && behaviour.transform(svg, zoomIdentity);

  function show(wanted) {
    request = wanted;
    chosen = null;
    focused = 0;
    transform = zoomIdentity;
    draw();
  }

  function draw() {
    const width = host.clientWidth;
    if (!request || !width) return;
    const had = host.contains(document.activeElement);
    const left = width < 560 ? 62 : 92;
    const timed = kind === "time";
    const events = request.events.filter((event) => !timed || event.begin !== undefined);
    const layers = [...PRODUCT, ...new Set(request.events.map((event) => event.layer).filter((layer) => !PRODUCT.includes(layer)))];
    const zero = request.start ?? events.find((event) => event.begin !== undefined)?.begin ?? 0;
    const from = (event) => (timed ? event.begin - zero : event.seq);
    const to = (event) => (timed ? event.until - zero : event.seq);
    const first = Math.min(0, ...events.map(from));
    const last = Math.max(timed ? 1000 : 1, ...events.map(to));
    const pad = (last - first) * 0.03;
    const x = scaleLinear([first - pad, last + pad], [left + 10, width - 14]);
    // Within a lane, marks that would cover each other stand below each other.
    const seats = new Map();
    const deep = layers.map((layer) => {
      const ends = [];
      for (const event of events.filter((one) => one.layer === layer)) {
        const start = x(from(event));
        let line = ends.findIndex((end) => end <= start);
        if (line < 0) line = ends.length < DEEPEST ? ends.push(0) - 1 : ends.indexOf(Math.min(...ends));
        ends[line] = Math.max(x(to(event)), start + MARK) + 3;
        seats.set(event, line);
      }
      return Math.max(1, ends.length);
    });
    const tops = [];
    let y = TOP;
    for (const lines of deep) {
      tops.push(y);
      y += lines * LINE + 10;
    }
    const middle = (event) => tops[layers.indexOf(event.layer)] + 5 + seats.get(event) * LINE + LINE / 2;

    svg = create("svg").attr("width", width).attr("height", y + 4).attr("class", "lanes").attr("role", "group").attr("aria-label", `Events of the request, ${timed ? "by time" : "by order"}; ${events.length} marks`).attr("aria-describedby", "lanes-hint");
    const defs = svg.append("defs");
    defs.append("clipPath").attr("id", "clip").append("rect").attr("x", left).attr("y", 0).attr("width", width - left).attr("height", y + 4);
    for (const [id, name] of [["arrow", "arrow"], ["arrow-on", "arrow on"]]) {
      defs.append("marker").attr("id", id).attr("class", name).attr("viewBox", "0 0 8 8").attr("refX", 7).attr("refY", 4).attr("markerWidth", 6).attr("markerHeight", 6).attr("orient", "auto").append("path").attr("d", "M0 0L8 4L0 8z");
    }
    const untied = new Map((request.untied ?? []).flatMap(([why, some]) => some.split(", ").map((layer) => [layer, why])));
    layers.forEach((layer, at) => {
      svg.append("rect").attr("class", at % 2 ? "band odd" : "band").attr("x", 0).attr("y", tops[at]).attr("width", width).attr("height", deep[at] * LINE + 10);
      svg.append("text").attr("class", `lanename t-${layer}`).attr("x", 8).attr("y", tops[at] + 21).text(layer);
      if (untied.has(layer) && !events.some((event) => event.layer === layer)) svg.append("text").attr("class", "empty").attr("x", left + 12).attr("y", tops[at] + 21).text(untied.get(layer));
    });
    const ticks = svg.append("g").attr("class", "axis lanesaxis").attr("transform", `translate(0,${TOP - 6})`).attr("aria-hidden", "true");
    const inner = svg.append("g").attr("clip-path", "url(#clip)");
    const opening = timed ? inner.append("line").attr("class", "opening").attr("y1", TOP).attr("y2", y) : null;
    const links = inner.append("g").attr("class", "links").attr("aria-hidden", "true");
    const marks = inner.append("g");
    drawn = { x, from, to, middle, events, links, marks, ticks, opening, left, width, timed, zero, seats };
    marks
      .selectAll("g")
      .data(events)
      .join("g")
      .attr("class", (event) => `mark l-${event.layer}${event.status === "INF" ? " inferred" : ""}${event.bad ? " bad" : ""}`)
      .attr("role", "button")
      .attr("tabindex", (event, at) => (at === focused ? 0 : -1))
      .attr("aria-label", (event) => describe(event).join(", "))
      .attr("data-event", (event) => event.id)
      .each(function (event) {
        const group = select(this);
        group.append("path").attr("class", "doubt");
        group.append("rect").attr("class", "shape").attr("y", -MARK / 2).attr("height", MARK).attr("rx", (MARK - 1) / 2);
        if (event.bad) group.append("path").attr("class", "cross").attr("d", "M-3 -3L3 3M-3 3L3 -3");
        if (flagged(event)) group.append("path").attr("class", "flag").attr("d", "M0 -13l4 4l-4 4l-4 -4z");
        group.append("text").attr("class", "label").attr("y", 4);
      })
      .on("pointerenter focus", (event, data) => tip(event, describe(data)))
      .on("pointerleave blur", hide)
      .on("click", (event, data) => pick(data))
      .on("keydown", walk);
    behaviour.extent([[left, 0], [width, y]]).translateExtent([[left, 0], [width, y]]);
    svg.call(behaviour).on("dblclick.zoom", null);
    svg.on("keydown.zoom", (key) => {
      if (key.key === "+" || key.key === "=") scaled(1.6);
      else if (key.key === "-") scaled(1 / 1.6);
      else if (key.key === "0") reset();
      else return;
      key.preventDefault();
    });
    svg.property("__zoom", transform);
    host.replaceChildren(svg.node());
    place();
    if (had) marks.selectAll("g.mark").filter((event, at) => at === focused).node()?.focus({ preventScroll: true });
  }

  function describe(event) {
    return [
      `${event.seq} ${event.kind}${event.name ? ` ${event.name}` : ""}`,
      event.at === undefined ? "states no time" : `${clock(event.at, 6)} UTC, ${since(event.at - drawn.zero)}`,
      event.doubt === undefined ? "how far its clock is off is not known" : event.doubt ? `clock within ${length(event.doubt / 1000)}` : null,
      ...(event.facts ?? []).slice(0, 7).map(([label, value]) => `${label} ${value}`),
      `${event.status}: ${tied(event)}`,
      event.findings ? `shows ${event.findings.join(", ")}` : null,
      event.address,
    ].filter(Boolean);
  }

  function place() {
    if (!drawn) return;
    const { x, from, to, middle, events, links, marks, ticks, opening, left, width, timed, zero, seats } = drawn;
    const now = transform.rescaleX(x);
    const axis = axisTop(now).ticks(Math.max(2, Math.floor((width - left) / 90))).tickSizeOuter(0);
    axis.tickFormat(timed ? (us) => since(Math.round(us)) : (seq) => (Number.isInteger(seq) ? String(seq) : ""));
    ticks.call(axis);
    opening?.attr("x1", now(0)).attr("x2", now(0));
    const wide = (event) => Math.max(MARK, now(to(event)) - now(from(event)));
    const start = (event) => now(from(event)) - (to(event) === from(event) ? MARK / 2 : 0);
    const centre = (event) => start(event) + wide(event) / 2;
    // A label stands behind its mark, or before it, where the marks of its line leave room.
    const room = new Map();
    const before = new Map();
    const seat = (event) => `${event.layer} ${seats.get(event)}`;
    const last = new Map();
    const inOrder = [...events].sort((a, b) => start(a) - start(b));
    for (const event of inOrder) {
      const previous = last.get(seat(event));
      if (previous) room.set(previous, start(event) - start(previous) - wide(previous) - 8);
      before.set(event, previous);
      last.set(seat(event), event);
    }
    for (const event of last.values()) room.set(event, width - start(event) - wide(event) - 8);
    const labels = new Map();
    for (const event of inOrder) {
      const words = label(event);
      const long = words.length * 6.2 + 4;
      const previous = before.get(event);
      const taken = previous && labels.get(previous)?.side === "right" ? label(previous).length * 6.2 + 9 : 0;
      const ahead = start(event) - (previous ? start(previous) + wide(previous) + taken : left) - 8;
      labels.set(event, { words, side: room.get(event) > long ? "right" : ahead > long ? "left" : null });
    }
    marks.selectAll("g.mark").attr("transform", (event) => `translate(0,${middle(event)})`).classed("chosen", (event) => event === chosen).each(function (event) {
      const group = select(this);
      group.select(".shape").attr("x", start(event)).attr("width", wide(event));
      group.select(".cross").attr("transform", `translate(${start(event) + MARK / 2},0)`);
      group.select(".flag").attr("transform", `translate(${start(event) + MARK / 2},0)`);
      const { words, side } = labels.get(event);
      const at = side === "left" ? start(event) - 5 : start(event) + wide(event) + 5;
      group.select(".label").attr("x", at).attr("text-anchor", side === "left" ? "end" : "start").text(side ? words : "");
      const off = timed && event.doubt && event.at !== undefined ? event.doubt / 1000 : null;
      const low = off === null ? 0 : now(event.at - zero - off);
      const high = off === null ? 0 : now(event.at - zero + off);
      group.select(".doubt").attr("d", off === null || high - low < MARK + 4 ? "" : `M${low} 6v6M${low} 9H${high}M${high} 6v6`);
    });
    const seen = new Map(events.map((event) => [event.id, event]));
    const curves = [];
    for (const event of events) {
      for (const one of event.relations ?? []) if (seen.has(one.to)) curves.push({ key: `${event.id} ${one.relation} ${one.to}`, event, other: seen.get(one.to), inferred: one.inferred, name: one.relation });
      const inferred = event.status === "INF";
      if ((inferred || event === chosen) && seen.has(event.via) && event.via !== event.id) curves.push({ key: `${event.id} member ${event.via}`, event, other: seen.get(event.via), inferred, name: "tied to" });
    }
    links
      .selectAll("path")
      .data(curves, (curve) => curve.key)
      .join("path")
      .attr("class", (curve) => `link${curve.inferred ? " inferred" : ""}${curve.event === chosen || curve.other === chosen ? " on" : ""}`)
      .attr("marker-end", (curve) => (curve.event === chosen || curve.other === chosen ? "url(#arrow-on)" : "url(#arrow)"))
      .attr("d", ({ event, other }) => {
        const [x1, y1, x2, y2] = [centre(event), middle(event), centre(other), middle(other)];
        const edge = y2 + (y1 > y2 ? 1 : y1 < y2 ? -1 : 0) * (MARK / 2 + 1);
        const bend = Math.max(24, Math.abs(x1 - x2) / 3);
        return y1 === y2 ? `M${x1} ${y1 - 6}C${x1} ${y1 - 22} ${x2} ${y1 - 22} ${x2} ${y2 - 8}` : `M${x1} ${y1}C${x1 - bend / 3} ${(y1 + edge) / 2} ${x2 + bend / 3} ${(y1 + edge) / 2} ${x2} ${edge}`;
      });
  }

  function label(event) {
    const facts = new Map(event.facts ?? []);
    const tail = event.kind.split(".").slice(1).join(".") || event.kind;
    const told = facts.get("verdict") ?? facts.get("outcome") ?? facts.get("shown") ?? facts.get("feedback") ?? facts.get("index") ?? facts.get("model") ?? facts.get("template") ?? "";
    const words = [tail, told === tail ? "" : told, kind === "time" && event.until > event.begin ? length(event.until - event.begin) : ""].filter(Boolean).join(" ");
    return words.length > 46 ? `${words.slice(0, 45)}…` : words;
  }

  function walk(key, event) {
    const { events } = drawn;
    const at = events.indexOf(event);
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: events.length - 1 }[key.key];
    if (key.key === "Enter" || key.key === " ") {
      key.preventDefault();
      pick(event);
    } else if (to !== undefined && events[to]) {
      key.preventDefault();
      focusOn(to);
    }
  }

  function focusOn(at) {
    focused = at;
    const { marks, x, from, left, width, events } = drawn;
    const now = transform.rescaleX(x)(from(events[at]));
    if (now < left + 8 || now > width - 16) behaviour.translateTo(svg, x(from(events[at])), 0);
    marks.selectAll("g.mark").attr("tabindex", (event, place_) => (place_ === at ? 0 : -1)).filter((event, place_) => place_ === at).node().focus({ preventScroll: true });
  }

  function select_(event) {
    chosen = event;
    if (!drawn) return;
    const at = drawn.events.indexOf(event);
    if (at < 0) return;
    focused = at;
    const { x, from, left, width, marks } = drawn;
    const now = transform.rescaleX(x)(from(event));
    if (now < left + 8 || now > width - 16) behaviour.translateTo(svg, x(from(event)), 0);
    marks.selectAll("g.mark").attr("tabindex", (one, place_) => (place_ === at ? 0 : -1));
    place();
  }

  let before = 0;
  new ResizeObserver(() => {
    if (host.clientWidth !== before) {
      before = host.clientWidth;
      draw();
    }
  }).observe(host);
  return { element, show, select: select_ };
}

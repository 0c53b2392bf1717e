// The evidence of one event: where its bytes lie, what they say, and why it stands where it does.
import { folded, h } from "./dom.js";
import { length, moment, number, short } from "./text.js";
import { badge } from "./words.js";

export function tied(event) {
  if (event.method === undefined) return event.status === "OBS" ? "opening" : "to no request";
  return { window: "by time", content: "by text" }[event.method] ?? event.method;
}

const code = (text) => h("code", { class: "wrap" }, text);
const pairs = (list) =>
  h("dl", { class: "pairs" }, list.filter(([, value]) => value !== undefined && value !== null && value !== "").map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value))));

export function evidence(facts, open, known, point) {
  const heading = h("h4", { tabindex: -1, id: "evidence-title" });
  const body = h("div");
  const element = h("section", { class: "evidence", id: "evidence", "aria-labelledby": "evidence-title" }, heading, body);

  function clear() {
    heading.textContent = "Evidence";
    body.replaceChildren(h("p", { class: "quiet" }, "Choose an event above: a click, or Enter where the arrow keys have led."));
  }

  function show(event, request, from) {
    const order = request ? request.events : [];
    const place = order.indexOf(event);
    const step = (to, text) =>
      h("button", { type: "button", class: "plainbutton", disabled: !order[to], onclick: () => (point(order[to], from), heading.focus({ preventScroll: true })) }, text);
    heading.replaceChildren(h("span", { class: `dot l-${event.layer}` }), `${place >= 0 ? `${event.seq} ` : ""}${event.kind}${event.name ? ` · ${event.name}` : ""}`);
    const unit = event.unit === "row" ? `row ${number(event.offset_bytes)}` : `byte ${number(event.offset_bytes)}, ${number(event.length)} long`;
    const source = facts.sources.find((one) => event.address === one.source || event.address.startsWith(`${one.source}:`));
    const doubt = event.doubt === undefined ? "how far is not known: nothing bounds this clock" : event.doubt ? `within ${length(event.doubt / 1000)} of the reference clock` : "by the reference clock itself";
    const left = h(
      "div",
      {},
      h("h5", {}, "Where it stands"),
      pairs([
        ["address", code(event.address)],
        ["bytes", unit],
        ["SHA-256 of the source", source?.hash ? code(source.hash) : ""],
        ["hash of the record", event.hash ? code(event.hash) : ""],
        ["format", event.format],
        ["event", code(event.id)],
        ["read it", code(`strataline evidence CASE ${short(event.id)}`)],
      ]),
      event.input ? [h("h5", {}, "In"), h("blockquote", {}, event.input)] : null,
      event.output ? [h("h5", {}, "Out"), h("blockquote", {}, event.output)] : null,
    );
    const relations = (event.relations ?? []).map((one) => {
      const other = known(one.to);
      const name = other?.seq === undefined ? one.address : `${other.seq} ${other.kind}`;
      return h("li", {}, `${one.relation} `, other ? h("button", { type: "button", class: "cite", onclick: () => open(one.to, from) }, name) : code(name ?? ""), one.inferred ? " (inferred)" : "");
    });
    const via = event.via === undefined || event.via === event.id ? null : known(event.via);
    const right = h(
      "div",
      {},
      h("h5", {}, "Why it stands in this request"),
      h("p", {}, badge(facts, event.status), ` ${event.why ?? ""} `, via ? h("button", { type: "button", class: "cite", onclick: () => open(event.via, from) }, `go to ${event.via_address ?? "it"}`) : null),
      event.order ? h("p", { class: "quiet" }, { first: "It is the first of the request.", causal: "It stands after the one before it by what must come first.", clock: "It stands after the one before it by corrected time.", tie: "Nothing tells whether it or the one before it was first." }[event.order] ?? event.order) : null,
      relations.length ? h("ul", {}, relations) : null,
      h("h5", {}, "When"),
      pairs([
        ["corrected", event.at === undefined ? "states no time" : `${moment(event.at, 6)} UTC`],
        ["as logged", event.logged === undefined ? "" : `${moment(event.logged, 6)} UTC`],
        ["as written", event.raw ? code(event.raw) : ""],
        ["zone", event.zone],
        ["clock", event.clock],
        ["taken from it", event.offset === "0" ? "" : event.offset],
        ["may be off", event.at === undefined ? "" : doubt],
      ]),
    );
    const middle = h(
      "div",
      {},
      h("h5", {}, "What it says"),
      pairs([["service", event.service], ["content", event.content], ...(event.facts ?? [])]),
      event.findings ? h("p", {}, "Shows ", event.findings.join(", ")) : null,
      event.ids ? folded(`${number(event.ids.length)} ids`, pairs(event.ids.map(([kind, value]) => [kind, code(value)]))) : null,
    );
    const back = from?.isConnected
      ? h("button", { type: "button", class: "plainbutton back", onclick: () => (from.scrollIntoView({ block: "center" }), from.focus({ preventScroll: true })) }, "Back to where you came from")
      : null;
    const note = request ? null : h("p", { class: "quiet" }, event.request ? `Of request ${short(event.request)}, which is not drawn here.` : "Of no request.");
    body.replaceChildren(
      ...[h("div", { class: "steps" }, order.length ? [step(place - 1, "← Before"), step(place + 1, "After →")] : null, back), note, h("div", { class: "columns" }, left, middle, right)].filter(Boolean),
    );
  }

  function missing(id, from) {
    heading.textContent = "Evidence";
    body.replaceChildren(h("p", {}, "This event is not on this page. ", h("code", {}, `strataline evidence CASE ${short(id)}`)));
    element.scrollIntoView({ block: "nearest" });
    heading.focus({ preventScroll: true });
    void from;
  }

  clear();
  return { element, show, clear, missing, focus: () => heading.focus({ preventScroll: true }) };
}

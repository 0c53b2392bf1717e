// The requests: a list with filter and sort, the lanes of the chosen one, and the evidence of the chosen event.
import { byId, folded, h, section, table } from "./dom.js";
import { clock, day, length, many, moment, number, short, since } from "./text.js";
import { evidence, tied } from "./evidence.js";
import { lanes } from "./lanes.js";

const COLUMNS = [
  ["Opened (UTC)", (one) => one.start ?? Infinity, (one) => one.start === null ? "" : [h("span", { class: "wide" }, `${day(one.start)} `), clock(one.start)], ""],
  ["Request", (one) => one.id, null, ""],
  ["User", (one) => one.user ?? "", (one) => one.user ?? "", "wide"],
  ["What came of it", (one) => outcome(one), (one) => outcome(one), "wide"],
  ["Findings", (one) => -one.front, (one) => one.findings.join(" "), ""],
  ["Events", (one) => -one.events.length, (one) => number(one.events.length), "wide num"],
  ["By text or time", (one) => -one.inferred, (one) => number(one.inferred), "wide num"],
  ["Took", (one) => -(one.took ?? -1), (one) => (one.took === null ? "" : length(one.took)), "wide num"],
];

const outcome = (one) => [...one.outcomes, ...one.verdicts.filter((verdict) => !verdict.endsWith(":allow")), ...one.shown].join(", ");

export function requests(facts) {
  const all = facts.requests;
  const where = new Map();
  all.forEach((request) => request.events.forEach((event) => where.set(event.id, { request, event })));
  facts.beside.forEach((event) => where.has(event.id) || where.set(event.id, { request: null, event }));

  // The first request to look at: of those that show most in front, the earliest, an affected one if there is any.
  const first = () => [...all].sort((a, b) => b.affected - a.affected || b.front - a.front)[0];

  let chosen = null;
  let order = { column: 0, down: false };
  const haystacks = new Map(
    all.map((one) => [one, [one.id, one.user, one.session, one.tenant, one.findings.join(" "), outcome(one), ...one.told.flat(), ...one.ids.map(([, value]) => value)].join(" ").toLowerCase()]),
  );

  const words = h("input", { type: "search", id: "filter-words", autocomplete: "off", spellcheck: "false", placeholder: "id, user, verdict, version …", oninput: () => list() });
  const named = [...new Set(all.flatMap((one) => one.findings))].sort();
  const titles = new Map(facts.findings.map((one) => [one.finding, one.name]));
  const behind = new Set(facts.findings.filter((one) => facts.background.includes(one.attention)).map((one) => one.finding));
  const front = (one) => one.findings.filter((id) => !behind.has(id));
  const rest = (one) => one.findings.length - front(one).length;
  const finding = h("select", { id: "filter-finding", onchange: () => list() }, h("option", { value: "" }, "any"), named.map((id) => h("option", { value: id }, `${id} ${titles.get(id) ?? ""}`)));
  const only = h("input", { type: "checkbox", id: "filter-affected", onchange: () => list() });
  const count = h("output", { id: "count", "aria-live": "polite" });
  const body = h("tbody");
  const heads = COLUMNS.map(([title, , , kind], column) =>
    h("th", { scope: "col", class: kind }, h("button", { type: "button", onclick: () => sortBy(column) }, title)),
  );

  for (const one of all) one.front = front(one).length;

  function sortBy(column) {
    order = { column, down: order.column === column ? !order.down : false };
    list();
  }

  function visible() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const key = COLUMNS[order.column][1];
    const some = all.filter(
      (one) =>
        wanted.every((word) => haystacks.get(one).includes(word)) &&
        (!finding.value || one.findings.includes(finding.value)) &&
        (!only.checked || one.affected),
    );
    const sign = order.down ? -1 : 1;
    return some.sort((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : a.id < b.id ? -1 : 1));
  }

  function list() {
    const some = visible();
    heads.forEach((head, column) => {
      if (column === order.column) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    count.textContent = `${number(some.length)} of ${many(all.length, "request")}`;
    body.replaceChildren(...some.map(line));
    if (!some.length) body.append(h("tr", {}, h("td", { colspan: COLUMNS.length }, "No request passes the filter.")));
    tabStop();
  }

  function line(one) {
    const pick = h("button", { type: "button", class: "pick", tabindex: -1, "data-request": one.id, onclick: () => choose(one, true), "aria-pressed": one === chosen ? "true" : "false" }, short(one.id));
    const cells = COLUMNS.map(([, , tell, kind], column) => {
      if (column === 1) return h("td", {}, pick, one.affected ? h("small", { class: "mark" }, "affected") : null);
      return h(column ? "td" : "th", column ? { class: kind } : { scope: "row" }, column === 4 ? shows(one) : tell(one));
    });
    return h("tr", { class: one === chosen ? "chosen" : null, onclick: (click) => click.target.closest("button") || choose(one, true) }, cells);
  }

  const shows = (one) => [
    front(one).map((id) => h("span", { class: "chip", title: titles.get(id) }, id)),
    rest(one) ? h("small", { class: "inline" }, front(one).length ? ` and ${rest(one)} of the background` : `${rest(one)} of the background`) : null,
  ].flat().filter(Boolean);

  // One stop of the tab key for the whole list; arrows walk in it.
  function tabStop() {
    const buttons = [...body.querySelectorAll(".pick")];
    const here = buttons.find((one) => one.getAttribute("aria-pressed") === "true") ?? buttons[0];
    if (here) here.tabIndex = 0;
  }

  body.addEventListener("keydown", (key) => {
    const buttons = [...body.querySelectorAll(".pick")];
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[key.key];
    if (at < 0 || to === undefined || !buttons[to]) return;
    key.preventDefault();
    buttons.forEach((one) => (one.tabIndex = -1));
    buttons[to].tabIndex = 0;
    buttons[to].focus();
  });

  const heading = h("h3", { id: "chain-title", tabindex: -1 });
  const about = h("div", { id: "chain-about" });
  const drawing = lanes((event) => point(event, null), behind);
  const proof = evidence(facts, (id, from) => open(id, from), (id) => where.get(id)?.event, point);
  const same = h("div", { id: "chain-table" });
  const chain = h("div", { id: "chain" }, heading, about, drawing.element, proof.element, same);

  function choose(one, moved) {
    chosen = one;
    for (const row of body.querySelectorAll("tr")) {
      const pick = row.querySelector(".pick");
      if (!pick) continue;
      const on = pick.dataset.request === one.id;
      row.classList.toggle("chosen", on);
      pick.setAttribute("aria-pressed", on ? "true" : "false");
      pick.tabIndex = on ? 0 : -1;
    }
    if (!body.querySelector('.pick[tabindex="0"]')) tabStop();
    heading.textContent = `Request ${short(one.id)}`;
    about.replaceChildren(...describe(one));
    drawing.show(one);
    proof.clear();
    same.replaceChildren(folded("The same as a table", asTable(one)));
    if (moved) heading.scrollIntoView({ block: "start", behavior: "auto" });
  }

  function describe(one) {
    const who = [["user", one.user], ["session", one.session], ["tenant", one.tenant]].filter(([, value]) => value);
    const pairs = [["opened", `${moment(one.start, 6)} UTC`], ...who, ...one.told, ...one.untied.map(([why, layers]) => [why, layers])];
    return [
      h("dl", { class: "pairs" }, pairs.map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value)))),
      one.findings.length
        ? h("p", {}, "Shows: ", [...front(one), ...one.findings.filter((id) => behind.has(id))].map((id) => h("button", { type: "button", class: `chip${behind.has(id) ? " quiet" : ""}`, title: titles.get(id), onclick: () => back(id) }, `${id} ${behind.has(id) ? "" : (titles.get(id) ?? "")}`.trim())))
        : null,
    ].filter(Boolean);
  }

  function asTable(one) {
    return table(
      "Events of the request in order",
      ["no.", "UTC", "since opening", "layer", "what", "tied", "evidence"],
      one.events.map((event) => [
        number(event.seq),
        h("span", { class: "nowrap" }, clock(event.at)),
        event.at === undefined || one.start === null ? "" : since(event.at - one.start),
        event.layer,
        h("span", { class: "wrap" }, event.kind, event.name ? ` ${event.name}` : "", h("small", {}, (event.facts ?? []).map(([label, value]) => `${label} ${value}`).join("; "))),
        tied(event),
        h("button", { type: "button", class: "cite", onclick: () => point(event, null) }, event.address),
      ]),
    );
  }

  function back(id) {
    const target = byId(`finding-${id}`);
    if (!target) return;
    target.closest("details")?.setAttribute("open", "");
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: "center" });
  }

  function point(event, from) {
    drawing.select(event);
    proof.show(event, chosen, from);
  }

  // Leads to an event: its request is chosen, it is marked in the lanes, and its evidence has the focus.
  function open(id, from) {
    const found = where.get(id);
    if (!found) {
      proof.missing(id, from);
      return;
    }
    if (found.request && found.request !== chosen) choose(found.request, false);
    if (found.request) point(found.event, from);
    else proof.show(found.event, null, from);
    proof.element.scrollIntoView({ block: "nearest" });
    if (found.request) heading.scrollIntoView({ block: "start" });
    proof.focus();
  }

  function filterBy(id) {
    finding.value = id;
    words.value = "";
    only.checked = false;
    list();
    byId("requests-title").scrollIntoView({ block: "start" });
    finding.focus({ preventScroll: true });
  }

  const made = section("requests", "Requests",
    "Requests",
    h(
      "form",
      { class: "filters", role: "search", "aria-label": "Filter the requests", onsubmit: (event) => event.preventDefault() },
      h("label", { for: "filter-words" }, "Words", words),
      h("label", { for: "filter-finding" }, "Finding", finding),
      facts.affected ? h("label", { class: "check", for: "filter-affected" }, only, "affected only") : null,
      count,
    ),
    h(
      "div",
      { class: "scroll list", role: "region", "aria-label": "Requests" },
      h("table", { class: "requests" }, h("caption", { class: "unseen" }, "Requests. Arrow keys walk, Enter chooses."), h("thead", {}, h("tr", {}, heads)), body),
    ),
    chain,
  );
  list();
  made.addEventListener("placed", () => (all.length ? choose(first(), false) : chain.replaceChildren(h("p", {}, "No request is drawn here."))));
  return { section: made, open, filterBy };
}

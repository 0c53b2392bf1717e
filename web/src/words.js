// Sections that are words and numbers: what this is, whom it reached, clocks, what is left open and left out.
import { folded, h, section, table } from "./dom.js";
import { many, moment, number, short } from "./text.js";
import { bracket } from "./bracket.js";

export function lede(facts) {
  const chosen = facts.affected;
  const fired = facts.findings.filter((one) => one.result === "fired");
  const notRun = facts.findings.filter((one) => one.result === "not_evaluable");
  const card = (big, small) => h("li", {}, h("b", {}, big), h("span", {}, small));
  const reach = facts.impact?.tiers.find((one) => one.tier === "shown" && one.of === "users");
  const cards = [
    chosen
      ? card(number(chosen.count), `requests called affected, of ${number(facts.total)}`)
      : card(number(facts.total), "requests; no affected set was named"),
    reach?.at_most ? card(range(reach.by_ids, reach.at_most), "users were shown such an answer, by the records") : null,
    card(number(new Set(fired.map((one) => one.check)).size), "checks found something"),
    card(number(new Set(notRun.map((one) => one.check)).size), "checks could not run"),
  ];
  const lines = [h("ul", { class: "cards" }, cards.filter(Boolean))];
  if (chosen) {
    const by = chosen.chosen_by ? ` Chosen by ${chosen.chosen_by}.` : " Nobody is named as the one who chose.";
    lines.push(
      h(
        "p",
        {},
        "Called affected: ",
        chosen.selectors.map((one, place) => [place ? ", " : "", h("code", {}, one)]),
        `.${by} Compared with ${many(chosen.baseline_count, "request")}: ${chosen.baseline}.`,
      ),
    );
  }
  lines.push(h("p", { class: "quiet" }, "All times are UTC. ", facts.absence));
  return lines;
}

const range = (low, high) => (low === high ? number(low) : `${number(low)}–${number(high)}`);

const TIERS = {
  shown: "a record of display of the answer, or of a part of it",
  delivered: "a record that the answer left for the client, or of its display",
  exposed: "every request of the affected set",
};

export function reached(facts, open) {
  const found = facts.impact;
  if (!found) return null;
  const of = (tier, what) => found.tiers.find((one) => one.tier === tier && one.of === what);
  const whats = ["requests", "users", "sessions", "tenants"].filter((what) => of("exposed", what)?.at_most);
  const most = (what) => of("exposed", what).at_most || 1;
  const bar = (row, what) => {
    const cut = (value) => Math.round((100 * Math.min(value, most(what))) / most(what));
    const low = h("i", { class: "low" });
    const high = h("i", { class: "high" });
    low.style.width = `${cut(row.by_ids)}%`;
    high.style.width = `${Math.max(0, cut(row.at_most) - cut(row.by_ids))}%`;
    return h("span", { class: "bar", "aria-hidden": "true" }, low, high);
  };
  const cell = (tier, what) => {
    const row = of(tier, what);
    return h("span", { class: "reach" }, h("b", {}, range(row.by_ids, row.at_most)), bar(row, what));
  };
  const facts_ = [
    `${many(found.traffic, "request")} of the case lie between the first and the last of them.`,
    found.without_user ? `${many(found.without_user, "affected request")} without a user id: numbers of users leave them out.` : null,
    found.most ? `${many(found.repeated, "user")} met more than one of them, at most ${number(found.most)}.` : null,
    found.longest ? `Longest time between the first and the last shown to one user: ${found.longest}.` : null,
    found.tail === null ? null : `${number(found.tail)} shown after the mitigation.`,
    ...found.signals.map(([what, count]) => `${what}: ${many(count, "request")}.`),
  ];
  const when = (row) =>
    row.time === null ? "not in the supplied logs" : `${moment(row.time)}`;
  return section("reached", "Reach",
    "Whom it reached",
    h("p", { class: "quiet" }, "From the number that records joined by ids show, to the most that the records allow."),
    table(
      "Whom the affected requests reached: lower and upper bounds",
      ["", ...whats],
      Object.entries(TIERS).map(([tier, means]) => [
        h("span", {}, tier, h("small", {}, means)),
        ...whats.map((what) => cell(tier, what)),
      ]),
      { class: "reachtable" },
    ),
    h("ul", { class: "plain" }, facts_.filter(Boolean).map((one) => h("li", {}, one))),
    h("h3", {}, "Moments"),
    table(
      "Named moments",
      ["moment", "UTC", "status", "what it is", "evidence"],
      found.moments.map((row) => [row.moment, when(row), badge(facts, row.status), row.meaning, cite(open, row.event, row.address)]),
    ),
  );
}

export function badge(facts, status) {
  return h("span", { class: `badge s-${status}`, title: facts.statuses[status] ?? "stated by a person" }, status);
}

// A button that leads to the evidence; a plain address where the event is not on this page.
export function cite(open, id, address, from = null) {
  if (!address) return "";
  if (!id) return h("code", {}, address);
  return h("button", { type: "button", class: "cite", "data-event": id, onclick: (click) => open(id, from ?? click.currentTarget) }, address);
}

export function clocks(facts) {
  const found = facts.clocks;
  const bounded = found.alone.filter((one) => one.lower !== null || one.upper !== null || one.taken);
  return section("clocks", "Clocks",
    "Clocks",
    h(
      "p",
      {},
      found.references.length ? `Offsets are relative to ${found.references.join(", ")}. ` : "No clock could be measured against another. ",
      facts.unknowable,
    ),
    table(
      "Clocks: how far each is ahead of the reference, and what linked records allow",
      ["clock", "ahead by", "allowed by linked records", "drawn", "pairs", "basis"],
      found.alone.map((row) => [
        row.slice === "0" ? row.clock : `${row.clock}, slice ${row.slice}`,
        row.offset,
        row.bracket,
        bracket(row, bounded),
        row.pairs,
        row.basis,
      ]),
    ),
    found.families.length
      ? h("ul", { class: "plain" }, found.families.map(([name, said]) => h("li", {}, `${name}: ${said}`)))
      : null,
  );
}

export function leftOpen(facts) {
  return section("open", "Left open",
    "Left open, for people",
    h("p", {}, "Records do not decide these. They are for people to write."),
    h("dl", { class: "open" }, facts.left_open.map(([matter, about]) => [h("dt", {}, matter), h("dd", {}, about)])),
  );
}

export function leftOut(facts) {
  return section("leftout", "Left out", "What this page leaves out", h("ul", { class: "plain" }, facts.left_out.map((one) => h("li", {}, one))));
}

export function sources(facts) {
  return section("sources", "Sources",
    "Sources",
    h("p", {}, `Case ${facts.identity ?? ""}, made by strataline ${facts.version ?? ""}. Each input with its SHA-256.`),
    folded(
      many(facts.sources.length, "input"),
      table(
        "Inputs",
        ["source", "SHA-256", "format", "zone", "records", "events", "rejected", "first", "last"],
        facts.sources.map((row) => [
          row.source,
          h("code", { class: "hash" }, row.hash ?? ""),
          row.format,
          row.zone ? `${row.zone} (${row.zone_basis})` : row.zone_basis,
          number(row.records),
          number(row.events),
          number(row.rejected),
          moment(row.first_time),
          moment(row.last_time),
        ]),
      ),
    ),
    folded(
      "Files of the case",
      table("Files of the case", ["file", "SHA-256"], Object.entries(facts.files).map(([name, hash]) => [name, h("code", { class: "hash" }, hash)])),
    ),
  );
}

export { short };

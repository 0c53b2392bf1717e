// What checks found, in reading order; each sentence leads to its records.
import { folded, h, section, table } from "./dom.js";
import { many, number } from "./text.js";
import { badge, cite } from "./words.js";

const SHOWN = 4;

export function findings(facts, open, filterBy) {
  const of = (result) => facts.findings.filter((one) => one.result === result);
  const fired = of("fired");
  const groups = Object.entries(facts.read)
    .map(([attention, heading]) => [heading, fired.filter((one) => one.attention === attention)])
    .filter(([, some]) => some.length);
  const background = (some) => facts.background.includes(some[0].attention);
  return section("findings", "Findings",
    "What the records show",
    h(
      "p",
      { class: "quiet" },
      "The order says what to read when, not what weighs more. ",
      Object.entries(facts.statuses).map(([status, means]) => [badge(facts, status), ` ${means}. `]),
    ),
    groups.map(([heading, some]) => {
      const list = some.map((one) => finding(facts, one, open, filterBy));
      return background(some)
        ? folded(`${heading} (${some.length})`, list)
        : h("div", {}, h("h3", {}, heading), list);
    }),
    fired.length ? null : h("p", {}, "No check found anything."),
    notRun(of("not_evaluable")),
    of("clear").length
      ? folded(
          `${many(of("clear").length, "check")} ran and found nothing`,
          table("Checks that found nothing", ["check", "name", "requests it could hold in"], of("clear").map((one) => [one.check, one.name, number(one.evaluable)])),
        )
      : null,
  );
}

function finding(facts, one, open, filterBy) {
  const counts = [
    one.count === undefined ? null : one.requests ? many(one.count, "request") : `${number(one.count)} counted`,
    one.evaluable ? `of ${number(one.evaluable)} in which it could hold` : null,
    one.affected === undefined ? null : `${number(one.affected)} of the affected`,
    one.users ? many(one.users, "user") : null,
    one.inferred ? `${number(one.inferred)} by text or time` : null,
  ];
  const article = h("article", { class: "finding", id: `finding-${one.finding}`, tabindex: -1 });
  const cites = (one.addresses ?? []).map((address, at) => h("li", {}, cite(open, one.events?.[at], address, article)));
  const drawn = facts.requests.some((request) => request.findings.includes(one.finding));
  article.append(
    h("h4", {}, badge(facts, one.status), " ", h("span", { class: "id" }, one.finding), ` ${one.name}`),
    h("p", { class: "statement" }, one.statement ?? ""),
    h("p", { class: "quiet" }, counts.filter(Boolean).join(" · ")),
    cites.length ? h("ul", { class: "cites", "aria-label": `Evidence of ${one.finding}` }, cites.slice(0, SHOWN)) : "",
    h(
      "div",
      { class: "more" },
      drawn ? h("button", { type: "button", class: "plainbutton", onclick: () => filterBy(one.finding) }, "List its requests") : null,
      folded(
        "More",
        cites.length > SHOWN ? [h("h5", {}, "Further evidence"), h("ul", { class: "cites" }, cites.slice(SHOWN))] : null,
        one.alternatives ? [h("h5", {}, "What else the records would look like this for"), h("ul", {}, one.alternatives.map((text) => h("li", {}, text)))] : null,
        one.question ? [h("h5", {}, "To ask people who know this layer"), h("p", {}, one.question)] : null,
        one.parameters?.length ? [h("h5", {}, "Rule"), h("p", {}, `version ${one.version}; `, one.parameters.map(([name, value]) => `${name} ${value}`).join("; "))] : h("p", { class: "quiet" }, `Rule version ${one.version ?? "?"}`),
      ),
    ),
  );
  return article;
}

function notRun(some) {
  if (!some.length) return null;
  return folded(
    `${many(some.length, "check")} could not run`,
    table("Checks that could not run", ["check", "name", "why", "what would let it"], some.map((one) => [one.check, one.name, one.reason ?? "", (one.unlocks ?? []).join(", ")])),
  );
}

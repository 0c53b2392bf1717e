// The page: unpacks its data, and puts the sections on it.
import { byId, h } from "./dom.js";
import { requests } from "./requests.js";
import { changes } from "./changes.js";
import { contrasts } from "./contrasts.js";
import { coverage } from "./coverage.js";
import { draft } from "./draft.js";
import { findings } from "./findings.js";
import { clocks, lede, leftOpen, leftOut, reached, sources } from "./words.js";

async function unpack() {
  const packed = Uint8Array.from(atob(byId("data").textContent.replace(/\s/g, "")), (one) => one.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function navigate(parts) {
  byId("sections").append(
    h("ul", {}, parts.map((part) => h("li", {}, h("a", { href: `#${part.id}` }, part.dataset.name)))),
  );
}

async function start() {
  const state = byId("state");
  if (typeof DecompressionStream === "undefined") {
    state.textContent =
      "The data of this page is compressed, and this browser cannot unpack it. Firefox 113, Safari 16.4, Chrome or Edge 80, or a later one can. In a terminal: strataline examine CASE.";
    state.className = "notice";
    return;
  }
  const facts = await unpack();
  byId("lede").append(...lede(facts));
  const chain = requests(facts);
  const open = chain.open;
  const parts = [
    reached(facts, open),
    findings(facts, open, chain.filterBy),
    changes(facts, open),
    contrasts(facts),
    chain.section,
    coverage(facts),
    clocks(facts),
    draft(facts, open),
    leftOpen(facts),
    leftOut(facts),
    sources(facts),
  ].filter(Boolean);
  byId("main").append(...parts);
  navigate(parts);
  state.remove();
  parts.forEach((part) => part.dispatchEvent(new CustomEvent("placed")));
  // What is folded is part of the record on paper; the draft has a file of its own.
  let before = [];
  addEventListener("beforeprint", () => {
    before = [...document.querySelectorAll("main details:not([open])")].filter((one) => !one.closest("#draft"));
    before.forEach((one) => (one.open = true));
  });
  addEventListener("afterprint", () => before.forEach((one) => (one.open = false)));
  document.documentElement.dataset.ready = "yes";
}

start().catch((problem) => {
  const state = byId("state") ?? h("p", {});
  state.textContent = `This page could not draw itself: ${problem.message}`;
  state.className = "notice";
  document.documentElement.dataset.ready = "no";
});

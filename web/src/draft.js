// The draft of a postmortem, in the little Markdown that drafts are written in. Text becomes text nodes; what is no part
// of that grammar stays as it is written.
import { h, section } from "./dom.js";
import { badge, cite } from "./words.js";

const INLINE = /(`+)(.+?)\1(?!`)|\*\*(.+?)\*\*|\*([^*\s][^*]*)\*|\b(EV-\d{4,})\b|\[(OBS|DER|INF|UNK|HUM)(?=[:\s\]])|<<HUMAN:(.*?)>>|\\([\\`*_{}[\]()#+.!|<>~-])/g;

// What the draft itself keeps in comments; any other comment is somebody's text.
const COMMENT = /<!-{2} (?:c:|generated:|\/?human:)[^>]*-->/g;

export function draft(facts, open) {
  if (!facts.draft) return null;
  const evidence = new Map(facts.draft.evidence.map(([name, event, address]) => [name, [event, address]]));

  function inline(text) {
    const made = [];
    let from = 0;
    for (const found of text.matchAll(INLINE)) {
      const [whole, , code, bold, slant, name, status, slot, plain] = found;
      made.push(text.slice(from, found.index));
      from = found.index + whole.length;
      if (code !== undefined) made.push(h("code", {}, code.replace(/^ (.*[^ ].*) $/, "$1")));
      else if (bold !== undefined) made.push(h("b", {}, inline(bold)));
      else if (slant !== undefined) made.push(h("i", {}, inline(slant)));
      else if (name !== undefined) made.push(evidence.has(name) ? reference(name) : name);
      else if (status !== undefined) made.push("[", badge(facts, status));
      else if (slot !== undefined) made.push(h("mark", { class: "slot" }, `For people: ${slot.split("|").slice(1).join("–").trim() || slot}`));
      else made.push(plain);
    }
    return [...made, text.slice(from)].filter((one) => one !== "");
  }

  function reference(name) {
    const [event, address] = evidence.get(name);
    const made = cite(open, event, address);
    made.title = address;
    made.textContent = name;
    return made;
  }

  // Cells end at a pipe that no backslash stands before; a code span holds none.
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((one) => one.trim());

  function blocks(lines) {
    const made = [];
    let list = null;
    let paragraph = [];
    const flush = () => {
      if (paragraph.length) made.push(h("p", {}, inline(paragraph.join(" "))));
      paragraph = [];
    };
    for (let at = 0; at < lines.length; at += 1) {
      const line = lines[at];
      const fence = line.match(/^(\s*)(`{3,})/);
      if (fence) {
        flush();
        const end = lines.findIndex((one, place) => place > at && one.trim() === fence[2]);
        const stop = end < 0 ? lines.length : end;
        made.push(h("pre", {}, lines.slice(at + 1, stop).map((one) => one.slice(fence[1].length)).join("\n")));
        at = stop;
        list = null;
      } else if (/^\|/.test(line) && /^\|[\s:|-]+\|\s*$/.test(lines[at + 1] ?? "")) {
        flush();
        list = null;
        const rows = [];
        let next = at + 2;
        while (/^\|/.test(lines[next] ?? "")) rows.push(cells(lines[next++]));
        const heads = cells(line);
        made.push(
          h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": heads.join(", ") || "table" },
            h("table", {}, h("thead", {}, h("tr", {}, heads.map((one) => h("th", { scope: "col" }, inline(one))))), h("tbody", {}, rows.map((row) => h("tr", {}, row.map((one) => h("td", {}, inline(one)))))))),
        );
        at = next - 1;
      } else if (/^#{3,6} /.test(line)) {
        flush();
        list = null;
        made.push(h("h4", {}, inline(line.replace(/^#+ /, ""))));
      } else if (/^\s*(?:[-*]|\d+\.) /.test(line)) {
        flush();
        if (!list) made.push((list = h("ul", {})));
        list.append(h("li", { class: /^\s/.test(line) ? "inner" : null }, inline(line.replace(/^\s*(?:[-*]|\d+\.) /, ""))));
      } else if (/^> ?/.test(line)) {
        flush();
        made.push(h("blockquote", {}, inline(line.replace(/^> ?/, ""))));
      } else if (!line.trim()) {
        flush();
        list = null;
      } else {
        list = null;
        paragraph.push(line.trim());
      }
    }
    flush();
    return made;
  }

  // A fence ends at a line that is as long a fence; until then nothing is a heading or a comment.
  const parts = [];
  let fence = null;
  for (const raw of facts.draft.lines) {
    const opened = fence === null ? raw.match(/^\s*(`{3,})/) : null;
    const within = fence !== null || opened !== null;
    if (opened) fence = opened[1];
    else if (fence !== null && raw.trim() === fence) fence = null;
    if (!within && /^## /.test(raw)) parts.push({ title: raw.slice(3), lines: [] });
    else if (parts.length) parts[parts.length - 1].lines.push(within ? raw : raw.replace(COMMENT, "").trimEnd());
  }
  return section(
    "draft",
    "Draft",
    "The draft",
    h("p", { class: "quiet" }, "Made from the logs, for people to finish in its own file. What stands here is not changed by what they write there."),
    parts.map((part) => h("details", {}, h("summary", {}, part.title), h("div", { class: "drafted" }, blocks(part.lines)))),
  );
}

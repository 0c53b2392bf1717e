// Elements out of texts. Whatever a log said becomes a text node here and nowhere else: no markup is ever parsed.

export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

// A table. A cell is a text or an element; the first cell of a row heads it.
export function table(caption, heads, lines, attributes = {}) {
  const cells = (line) => line.map((cell, at) => h(at ? "td" : "th", at ? {} : { scope: "row" }, cell ?? ""));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      attributes,
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, lines.map((line) => h("tr", {}, cells(line)))),
    ),
  );
}

export function section(id, name, title, ...content) {
  return h("section", { id, "data-name": name, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title`, tabindex: -1 }, title), content);
}

export const folded = (summary, ...content) => h("details", {}, h("summary", {}, summary), content);

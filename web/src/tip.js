// Facts beside the pointer or the focus.
import { h } from "./dom.js";

let box = null;
let focused = null;

export function show(event, lines) {
  if (!box) {
    box = h("div", { class: "tip", role: "tooltip", id: "tip" });
    document.body.append(box);
    addEventListener("keydown", (key) => key.key === "Escape" && hide());
    // Beside the focus it moves along; where a pointer was, something else lies now.
    addEventListener("scroll", () => (focused ? place(focused) : hide()), { passive: true });
  }
  box.replaceChildren(...lines.filter(Boolean).map((line, at) => h("div", at ? {} : { class: "strong" }, line)));
  box.hidden = false;
  focused = event.clientX === undefined ? event.target : null;
  place(focused, event.clientX, event.clientY);
}

function place(target, x, y) {
  if (target) ({ right: x, bottom: y } = target.getBoundingClientRect());
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
  box.style.top = `${y + 16 + height > innerHeight ? Math.max(4, y - height - 12) : y + 16}px`;
}

export function hide() {
  focused = null;
  if (box) box.hidden = true;
}

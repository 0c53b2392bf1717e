// Facts beside the pointer or the focus.
import { h } from "./dom.js";

let box = null;

export function show(event, lines) {
  if (!box) {
    box = h("div", { class: "tip", role: "tooltip", id: "tip" });
    document.body.append(box);
    addEventListener("keydown", (key) => key.key === "Escape" && hide());
    addEventListener("scroll", hide, { passive: true });
  }
  box.replaceChildren(...lines.filter(Boolean).map((line, place) => h("div", place ? {} : { class: "strong" }, line)));
  box.hidden = false;
  const target = event.target.getBoundingClientRect();
  const [x, y] = event.clientX === undefined ? [target.right, target.bottom] : [event.clientX, event.clientY];
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
  box.style.top = `${y + 16 + height > innerHeight ? Math.max(4, y - height - 12) : y + 16}px`;
}

export function hide() {
  if (box) box.hidden = true;
}

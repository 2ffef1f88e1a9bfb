/**
 * Short notices in a corner: a ping of the acting member, or what the world would not do.
 */

import { byId, el } from "./dom.js";

const LIFE_MS = 8000;
const MOST = 3;

/**
 * @param {string} title
 * @param {string} text
 * @param {{kind?: "ping" | "problem" | "done", open?: () => void}} [how]
 */
export function toast(title, text, { kind = "done", open } = {}) {
  const host = byId("toasts");
  const words = el("span", { class: "toast-words" }, el("strong", null, title), el("span", null, text));
  const close = el("button", { class: "icon-button", type: "button", "aria-label": "Close the notice" }, "×");
  const body = open ? el("button", { class: "toast-open", type: "button" }, words) : words;
  const node = el("div", { class: `toast ${kind}`, role: kind === "problem" ? "alert" : "status" }, body, close);
  const away = () => node.remove();
  close.addEventListener("click", away);
  body.addEventListener("click", () => {
    if (!open) return;
    away();
    open();
  });
  host.append(node);
  while (host.childElementCount > MOST) host.firstElementChild?.remove();
  let timer = setTimeout(away, LIFE_MS);
  // A notice that is being read or has the focus stays.
  const hold = () => clearTimeout(timer);
  const go = () => (timer = setTimeout(away, LIFE_MS));
  node.addEventListener("pointerenter", hold);
  node.addEventListener("pointerleave", go);
  node.addEventListener("focusin", hold);
  node.addEventListener("focusout", go);
}

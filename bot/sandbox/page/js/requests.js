/**
 * The newest requests of the world's parts, as they happen.
 */

import { el, fill } from "./dom.js";

/** @typedef {import("./types.js").Exchange} Exchange */

/** Tokens and the like: nobody reads them here. */
const LONG = /[\w.-]{40,}/g;

export class RequestList {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    this.list = el("ol", { class: "requests", "aria-label": "Newest requests first", tabIndex: 0 });
    this.filter = el(
      "select",
      { class: "plain-select", "aria-label": "Requests of which part" },
      ...["all", "discord", "github", "aws"].map((one) => el("option", { value: one }, one)),
    );
    this.node = el("div", { class: "request-box" }, this.filter, this.list);
    this.waiting = false;
    this.filter.addEventListener("change", () => this.draw());
    store.on("requests", () => this.#drawSoon());
  }

  /** At most one drawing a frame, however many come. */
  #drawSoon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const wanted = this.filter.value;
    const rows = this.store.requests.filter((one) => wanted === "all" || one.part === wanted).reverse();
    fill(this.list, ...(rows.length ? rows.map(row) : [el("li", { class: "world-text" }, "None yet.")]));
  }
}

/** @param {Exchange} one */
function row(one) {
  const bad = one.status === 0 || one.status >= 400;
  const path = one.path.split("?")[0].replace(LONG, "…");
  const what = one.action || `${one.method} ${path}`;
  return el(
    "li",
    { class: "request", title: `${one.method} ${path}\n${one.caller} · ${one.ms} ms` },
    el("span", { class: `request-part ${one.part}` }, one.part),
    el("span", { class: "request-what" }, what),
    el("span", { class: `request-status ${bad ? "bad" : ""}` }, one.status === 0 ? "cut" : String(one.status)),
  );
}

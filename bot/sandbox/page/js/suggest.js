/**
 * The list above the command line: commands while a name is typed, choices while an option is filled.
 * The focus stays in the input; arrows move a mark, which the input names as its active descendant.
 *
 * @typedef {{title: string, text?: string, value: any, lead?: Node | null}} Suggestion
 */

import { el, fill } from "./dom.js";

export class Suggest {
  /** @param {(suggestion: Suggestion) => void} pick */
  constructor(pick) {
    this.pick = pick;
    /** @type {Suggestion[]} */
    this.items = [];
    this.at = -1;
    this.heading = el("div", { class: "suggest-head" });
    this.list = el("ul", { class: "suggest-list", id: "suggest-list", role: "listbox", "aria-label": "Suggestions" });
    this.node = el("div", { class: "suggest", hidden: true }, this.heading, this.list);
    /** @type {HTMLElement | null} */
    this.input = null;
    // A press in the list must not take the focus out of the input.
    this.node.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  get open() {
    return !this.node.hidden && this.items.length > 0;
  }

  get marked() {
    return this.open ? this.items[this.at] : undefined;
  }

  /**
   * @param {HTMLElement} input
   * @param {string} heading
   * @param {Suggestion[]} items
   * @param {{mark?: boolean, note?: string}} [how] `mark`: whether the first is marked; `note`: said instead of an empty list
   */
  show(input, heading, items, { mark = true, note = "" } = {}) {
    this.input = input;
    this.items = items;
    this.at = mark && items.length ? 0 : -1;
    this.heading.textContent = heading;
    fill(
      this.list,
      ...items.map((one, index) => this.#row(one, index)),
      note && !items.length ? el("li", { class: "suggest-note" }, note) : null,
    );
    this.node.hidden = !items.length && !note;
    input.setAttribute("aria-expanded", String(this.open));
    this.#mark();
  }

  hide() {
    this.items = [];
    this.at = -1;
    this.node.hidden = true;
    this.input?.setAttribute("aria-expanded", "false");
    this.input?.removeAttribute("aria-activedescendant");
  }

  /** @param {1 | -1} step */
  move(step) {
    if (!this.open) return;
    const count = this.items.length;
    this.at = this.at < 0 && step < 0 ? count - 1 : (this.at + step + count) % count;
    this.#mark();
  }

  /** @param {Suggestion} item @param {number} index */
  #row(item, index) {
    const row = el(
      "li",
      { class: "suggest-item", role: "option", id: `suggest-${index}` },
      item.lead ?? null,
      el("span", { class: "suggest-title" }, item.title),
      item.text ? el("span", { class: "suggest-text" }, item.text) : null,
    );
    row.addEventListener("click", () => this.pick(item));
    row.addEventListener("pointermove", () => {
      if (this.at === index) return;
      this.at = index;
      this.#mark();
    });
    return row;
  }

  #mark() {
    for (const [index, row] of [...this.list.children].entries()) {
      row.classList.toggle("active", index === this.at);
      row.setAttribute("aria-selected", String(index === this.at));
    }
    const row = this.at < 0 ? null : this.list.children[this.at];
    if (row) this.input?.setAttribute("aria-activedescendant", row.id);
    else this.input?.removeAttribute("aria-activedescendant");
    row?.scrollIntoView({ block: "nearest" });
  }
}

/**
 * The one pop-up list of the page: selects in messages and modals, the member switcher, a message's menu.
 * A sheet at the bottom of a phone, a list beside its button on a wider screen.
 *
 * @typedef {{value: string, label: string, description?: string, lead?: Node | null, tail?: Node | null, selected?: boolean}} Item
 *
 * @typedef {object} MenuWish
 * @property {HTMLElement} anchor
 * @property {string} label what the list is, for people who do not see it
 * @property {Item[]} items
 * @property {(values: string[]) => void} pick
 * @property {number} [max] how many may be chosen; more than one makes boxes to tick
 * @property {number} [min]
 * @property {() => HTMLElement | null} [successor] who gets the focus when the anchor was drawn anew meanwhile
 */

import { el, fill } from "./dom.js";

const SEARCH_FROM = 9;
const GAP_PX = 6;
const LEAST_WIDTH_PX = 280;
let serial = 0;

/** @type {Menu | null} */
let open = null;

/** Open a menu; a second call for the same anchor closes it. @param {MenuWish} wish */
export function openMenu(wish) {
  const again = open?.wish.anchor === wish.anchor;
  open?.close();
  if (!again) open = new Menu(wish);
}

class Menu {
  /** @param {MenuWish} wish */
  constructor(wish) {
    serial += 1;
    this.wish = wish;
    this.id = `menu-${serial}`;
    this.many = (wish.max ?? 1) > 1;
    this.chosen = new Set(wish.items.filter((one) => one.selected).map((one) => one.value));
    this.shown = wish.items;
    this.at = Math.max(
      0,
      wish.items.findIndex((one) => one.selected),
    );
    this.list = el("ul", {
      class: "menu-list",
      role: "listbox",
      id: this.id,
      "aria-label": wish.label,
      "aria-multiselectable": this.many ? "true" : null,
      tabIndex: -1,
    });
    this.search = wish.items.length >= SEARCH_FROM ? this.#searchBox() : null;
    this.node = el(
      "div",
      { class: "menu", on: { keydown: (/** @type {KeyboardEvent} */ e) => this.#key(e) } },
      this.search,
      this.list,
      this.many && this.#footer(),
    );
    this.veil = el("div", { class: "menu-veil", on: { pointerdown: () => this.close() } });
    // Inside an open dialog everything outside it is inert.
    const host = wish.anchor.closest("dialog") ?? document.body;
    host.append(this.veil, this.node);
    this.#draw();
    this.#place();
    wish.anchor.setAttribute("aria-expanded", "true");
    (this.search ?? this.list).focus({ preventScroll: true });
  }

  close() {
    if (!this.node.isConnected) return;
    this.node.remove();
    this.veil.remove();
    open = null;
    this.wish.anchor.setAttribute("aria-expanded", "false");
    const heir = this.wish.anchor.isConnected ? this.wish.anchor : this.wish.successor?.();
    heir?.focus({ preventScroll: true });
  }

  #searchBox() {
    const box = el("input", {
      class: "menu-search",
      type: "text",
      placeholder: "Search",
      "aria-label": "Search the list",
      autocomplete: "off",
      "aria-controls": this.id,
      role: "combobox",
      "aria-expanded": "true",
    });
    box.addEventListener("input", () => {
      const wanted = box.value.trim().toLowerCase();
      this.shown = this.wish.items.filter((one) =>
        `${one.label} ${one.description ?? ""}`.toLowerCase().includes(wanted),
      );
      this.at = 0;
      this.#draw();
    });
    return box;
  }

  #footer() {
    return el(
      "div",
      { class: "menu-foot" },
      el("button", { class: "button primary", type: "button", on: { click: () => this.#done() } }, "Done"),
    );
  }

  #draw() {
    const rows = this.shown.map((item, index) => this.#row(item, index));
    fill(this.list, ...(rows.length ? rows : [el("li", { class: "menu-none" }, "Nothing of that name")]));
    this.#mark();
  }

  /** @param {Item} item @param {number} index */
  #row(item, index) {
    const selected = this.chosen.has(item.value);
    const words = el(
      "span",
      { class: "menu-words" },
      el("span", { class: "menu-label" }, item.label),
      item.description ? el("span", { class: "menu-text" }, item.description) : null,
    );
    const tick = this.many ? el("span", { class: "tick", "aria-hidden": "true" }) : null;
    const row = el(
      "li",
      {
        class: "menu-item",
        role: "option",
        id: `${this.id}-${index}`,
        "aria-selected": String(selected),
        data: { value: item.value },
      },
      item.lead,
      words,
      item.tail,
      tick,
    );
    row.addEventListener("pointermove", () => this.#move(index));
    row.addEventListener("click", () => this.#take(item));
    return row;
  }

  /** @param {number} index */
  #move(index) {
    if (index === this.at) return;
    this.at = index;
    this.#mark();
  }

  #mark() {
    for (const [index, row] of [...this.list.children].entries()) row.classList.toggle("active", index === this.at);
    const row = this.list.children[this.at];
    (this.search ?? this.list).setAttribute("aria-activedescendant", row?.id ?? "");
    row?.scrollIntoView({ block: "nearest" });
  }

  /** @param {Item} item */
  #take(item) {
    if (!this.many) {
      this.close();
      this.wish.pick([item.value]);
      return;
    }
    if (this.chosen.has(item.value)) this.chosen.delete(item.value);
    else if (this.chosen.size < (this.wish.max ?? 1)) this.chosen.add(item.value);
    this.#draw();
  }

  #done() {
    if (this.chosen.size < (this.wish.min ?? 0)) return;
    this.close();
    this.wish.pick([...this.chosen]);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const last = this.shown.length - 1;
    const item = this.shown[this.at];
    const typing = event.target === this.search;
    if (event.key === "Escape" || event.key === "Tab") this.close();
    else if (event.key === "ArrowDown") this.#move(this.at >= last ? 0 : this.at + 1);
    else if (event.key === "ArrowUp") this.#move(this.at <= 0 ? last : this.at - 1);
    else if (event.key === "Home" && !typing) this.#move(0);
    else if (event.key === "End" && !typing) this.#move(last);
    else if (event.key === "Enter" && event.ctrlKey && this.many) this.#done();
    else if (
      (event.key === "Enter" || (event.key === " " && !typing)) &&
      item &&
      !(event.target instanceof HTMLButtonElement)
    )
      this.#take(item);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #place() {
    const box = this.wish.anchor.getBoundingClientRect();
    const { style } = this.node;
    const below = window.innerHeight - box.bottom - 2 * GAP_PX;
    const above = box.top - 2 * GAP_PX;
    style.setProperty(
      "--menu-left",
      `${Math.max(GAP_PX, Math.min(box.left, window.innerWidth - this.node.offsetWidth - GAP_PX))}px`,
    );
    style.setProperty("--menu-width", `${Math.max(LEAST_WIDTH_PX, box.width)}px`);
    if (below >= Math.min(this.node.scrollHeight, 260) || below > above) {
      style.setProperty("--menu-top", `${box.bottom + GAP_PX}px`);
      style.setProperty("--menu-room", `${below}px`);
    } else {
      style.setProperty("--menu-bottom", `${window.innerHeight - box.top + GAP_PX}px`);
      style.setProperty("--menu-room", `${above}px`);
      this.node.classList.add("upward");
    }
  }
}

/**
 * The list of messages of the place on show: drawing, keeping its end in view, and telling screen readers what is new.
 */

import { byId, el, fill } from "./dom.js";
import { authorOf, drawMessage, drawPending } from "./message.js";
import { byAge } from "./store.js";
import { dayName } from "./time.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./components.js").Stage} Stage */

const AT_END_PX = 80;
const SPOKEN_CHARACTERS = 180;
const MOST_SHOWN = 1000;

export class MessageList {
  /** @param {Stage} stage @param {(place: string) => Promise<void>} loadEarlier */
  constructor(stage, loadEarlier) {
    this.stage = stage;
    this.loadEarlier = loadEarlier;
    this.scroll = byId("scroll");
    this.list = byId("messages");
    this.newest = byId("to-newest");
    this.pinned = true;
    /** @type {string} the last message that was read when the place was opened */
    this.readUntil = "";
    const { store } = stage;
    store.on("place", () => this.enter());
    store.on("acting", () => this.enter());
    store.on("state", () => this.list.childElementCount <= 1 && this.draw());
    store.on("typing", () => this.#typing());
    store.on("messages", (place) => place === store.place && this.draw());
    store.on("message", (detail) => this.#take(detail));
    store.on("pending", (pending) => this.#pending(pending));
    this.scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.newest.addEventListener("click", () => this.toEnd(true));
    new ResizeObserver(() => this.pinned && this.toEnd()).observe(this.list);
    document.addEventListener("visibilitychange", () => this.#look());
  }

  /** Another place, or another member: begin at its end. */
  enter() {
    const { store } = this.stage;
    this.readUntil = store.seen[`${store.acting}/${store.place}`] ?? "";
    this.pinned = true;
    this.draw();
    this.#typing();
  }

  draw() {
    const { store } = this.stage;
    const room = store.room(store.place);
    const focus = this.#focused();
    const rows = room.flatMap((message, index) => this.#rows(message, room[index - 1]));
    fill(this.list, this.#opening(), ...rows, ...this.#pendingRows());
    this.#focus(focus);
    if (this.pinned) this.toEnd();
    this.#look();
  }

  /** @param {boolean} [smooth] */
  toEnd(smooth = false) {
    this.pinned = true;
    this.newest.hidden = true;
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.scroll.scrollTo({ top: this.scroll.scrollHeight, behavior: smooth && !calm ? "smooth" : "instant" });
  }

  /** Bring one message into view and mark it for a moment; the focus goes to one of its buttons, or to itself. @param {string} id @param {string} [label] */
  showMessage(id, label = "") {
    const node = this.#node(id);
    if (!node) return false;
    this.pinned = false;
    node.scrollIntoView({ block: "center" });
    node.classList.remove("found");
    void node.offsetWidth;
    node.classList.add("found");
    /** @type {HTMLElement[]} */
    const buttons = label ? [...node.querySelectorAll("button")] : [];
    (buttons.find((one) => one.textContent === label) ?? node).focus({ preventScroll: true });
    return true;
  }

  /** @param {string} id @returns {HTMLElement | null} */
  #node(id) {
    return this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  /** @param {{place: string, message: Message, fresh: boolean}} detail */
  #take({ place, message, fresh }) {
    const { store } = this.stage;
    if (fresh && store.visible(message)) this.#speak(place, message);
    if (place !== store.place) return;
    const old = this.#node(message.id);
    if (fresh || !old) {
      this.#add(message);
      if (!this.pinned) this.newest.hidden = false;
      return;
    }
    const focus = this.#focused();
    const room = store.room(place);
    old.replaceWith(
      drawMessage(message, old.classList.contains("follows") ? room[room.indexOf(message) - 1] : undefined, this.stage),
    );
    this.#focus(focus);
    if (this.pinned) this.toEnd();
  }

  /** A message at the end is put there; one that belongs elsewhere needs a new drawing. @param {Message} message */
  #add(message) {
    const { store } = this.stage;
    const room = store.room(store.place);
    if (room.at(-1) !== message || this.#node(message.id) || this.list.childElementCount < 2) {
      this.draw();
      return;
    }
    const rows = this.#rows(message, room.at(-2));
    const waiting = this.list.querySelector(":scope > .pending");
    for (const row of rows) this.list.insertBefore(row, waiting);
    if (this.pinned) this.toEnd();
    this.#look();
  }

  #drawPending() {
    for (const row of this.list.querySelectorAll(":scope > .pending")) row.remove();
    this.list.append(...this.#pendingRows());
    if (this.pinned) this.toEnd();
  }

  #typing() {
    const { store } = this.stage;
    const one = store.typing.get(store.place);
    const dots = el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
    fill(byId("typing"), ...(one ? [dots, el("span", null, `${one.user} is typing…`)] : []));
  }

  /** @param {import("./store.js").Pending} pending */
  #pending(pending) {
    const message = pending.message ? this.stage.store.message(pending.message) : null;
    if (message) this.#take({ place: this.stage.store.placeOf(message), message, fresh: false });
    else this.#drawPending();
  }

  /** @param {string} place @param {Message} message */
  #speak(place, message) {
    const name = this.stage.store.placeById(place)?.name ?? "";
    byId("announcer").textContent = `${authorOf(message)} in ${name}: ${message.text.slice(0, SPOKEN_CHARACTERS)}`;
  }

  #scrolled() {
    this.pinned = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < AT_END_PX;
    if (this.pinned) this.newest.hidden = true;
    this.#look();
  }

  /** What is on show at the end of the list in a visible window has been read. */
  #look() {
    if (this.pinned && document.visibilityState === "visible") this.stage.store.markSeen(this.stage.store.place);
  }

  /** Which control has the focus, as names that outlive a new drawing. */
  #focused() {
    const node = document.activeElement;
    if (!(node instanceof HTMLElement) || !this.list.contains(node)) return null;
    return { id: node.closest("[data-id]")?.getAttribute("data-id") ?? "", component: node.dataset.component ?? "" };
  }

  /** @param {{id: string, component: string} | null} focus */
  #focus(focus) {
    if (!focus || !focus.id) return;
    const message = this.#node(focus.id);
    /** @type {HTMLElement | null | undefined} */
    const control = focus.component
      ? message?.querySelector(`[data-component="${CSS.escape(focus.component)}"]:not(:disabled)`)
      : null;
    (control ?? message ?? this.scroll).focus({ preventScroll: true });
  }

  /** @param {Message} message @param {Message | undefined} before @returns {HTMLElement[]} */
  #rows(message, before) {
    const rows = [];
    const newDay = !before || dayName(before.created_at) !== dayName(message.created_at);
    if (newDay)
      rows.push(el("li", { class: "rule" }, el("span", null, dayName(message.created_at))));
    const firstUnread =
      this.readUntil && byAge(message.id, this.readUntil) > 0 && (!before || byAge(before.id, this.readUntil) <= 0);
    if (firstUnread && before) rows.push(el("li", { class: "rule fresh" }, el("span", null, "New")));
    rows.push(drawMessage(message, newDay || firstUnread ? undefined : before, this.stage));
    return rows;
  }

  #opening() {
    const { store } = this.stage;
    const place = store.placeById(store.place);
    const missing = store.state.guild.elsewhere ?? "Connecting to the world…";
    if (!place) return el("li", { class: "opening" }, el("h2", null, missing));
    if (store.rooms.has(store.place) && !store.whole.has(store.place)) return this.#earlier();
    if ((store.rooms.get(store.place)?.size ?? 0) >= MOST_SHOWN)
      return el("li", { class: "opening earlier" }, el("p", null, "Still older messages are not shown here."));
    const words = place.parent
      ? "The beginning of this thread."
      : "The beginning of this channel. Type / below to run a command.";
    return el(
      "li",
      { class: "opening" },
      el("span", { class: "opening-mark", "aria-hidden": "true" }, "#"),
      el("h2", null, place.parent ? place.name : `#${place.name}`),
      el("p", null, words),
    );
  }

  #earlier() {
    const button = el("button", { class: "button small secondary", type: "button" }, "Show earlier messages");
    button.addEventListener("click", () => {
      button.disabled = true;
      this.pinned = false;
      const { store } = this.stage;
      const first = this.list.querySelector("[data-id]")?.getAttribute("data-id") ?? "";
      this.loadEarlier(store.place).then(() => {
        this.#node(first)?.scrollIntoView({ block: "start" });
        this.#node(first)?.focus({ preventScroll: true });
      });
    });
    return el("li", { class: "opening earlier" }, button);
  }

  #pendingRows() {
    const { store } = this.stage;
    const mine = store.pending.filter((one) => !one.message && one.user === store.acting && one.place === store.place);
    return mine.map((one) => drawPending(one, this.stage));
  }
}

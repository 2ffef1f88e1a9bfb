/**
 * The left column: channels and threads with what is unread, and below them who is acting. A drawer on a phone.
 */

import { avatar, byId, el, fill } from "./dom.js";
import { openMenu } from "./menu.js";

/** @typedef {import("./store.js").Store} Store */

export class Sidebar {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.node = byId("sidebar");
    this.opener = byId("open-sidebar");
    this.scrim = byId("scrim");
    this.opener.addEventListener("click", () => this.setDrawer(true));
    const short = byId("acting-short");
    short.addEventListener("click", () => this.#openMembers(short));
    this.scrim.addEventListener("click", () => this.setDrawer(false));
    this.node.addEventListener("keydown", (event) => event.key === "Escape" && this.setDrawer(false));
    for (const topic of /** @type {const} */ (["state", "place", "unread", "acting", "messages"]))
      store.on(topic, () => this.draw());
    this.draw();
  }

  /** @param {boolean} open */
  setDrawer(open) {
    if (this.node.classList.contains("open") === open) return;
    this.node.classList.toggle("open", open);
    this.scrim.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    if (open) /** @type {HTMLElement | null} */ (this.node.querySelector("[aria-current]"))?.focus();
    else this.opener.focus();
  }

  draw() {
    const { store } = this;
    byId("guild-name").textContent = store.state.guild.name || "Connecting…";
    const focus = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.place : undefined;
    const threads = [...store.threads.values()].filter((one) => !one.archived || one.id === store.place);
    const rows = store.state.channels.flatMap((one) => [
      this.#row(one),
      ...threads.filter((thread) => thread.parent === one.id).map((thread) => this.#row(thread)),
    ]);
    fill(byId("channels"), el("h2", { class: "group" }, "Channels"), el("ul", null, ...rows));
    if (focus)
      /** @type {HTMLElement | null} */ (
        byId("channels").querySelector(`[data-place="${CSS.escape(focus)}"]`)
      )?.focus();
    this.#drawActing();
  }

  /** @param {import("./types.js").Channel} place */
  #row(place) {
    const { store } = this;
    const { count, pings } = store.unread(place.id);
    const current = place.id === store.place;
    const unread = count > 0 && !current;
    const label = `${place.parent ? "thread" : "channel"} ${place.name}${unread ? `, ${count} unread` : ""}${pings && !current ? `, ${pings} for you` : ""}`;
    const button = el(
      "button",
      {
        class: `channel ${place.parent ? "thread" : ""} ${unread ? "unread" : ""}`,
        type: "button",
        "aria-current": current ? "page" : null,
        "aria-label": label,
        data: { place: place.id },
      },
      el("span", { class: "hash", "aria-hidden": "true" }, place.parent ? "↳" : "#"),
      el("span", { class: "channel-name" }, place.name),
      pings && !current ? el("span", { class: "ping-count", "aria-hidden": "true" }, String(pings)) : null,
    );
    button.addEventListener("click", () => {
      store.show(place.id);
      if (this.node.classList.contains("open")) this.setDrawer(false);
    });
    return el("li", null, button);
  }

  #drawActing() {
    const { me } = this.store;
    const host = byId("acting");
    const had = host.contains(document.activeElement);
    if (!me) return;
    const short = byId("acting-short");
    const said = () => el("span", { class: "sr-only" }, `You act as ${me.name}. Switch member`);
    fill(short, said(), avatar(me.name));
    const button = el(
      "button",
      {
        class: "acting-button",
        type: "button",
        "aria-haspopup": "listbox",
        "aria-expanded": "false",
      },
      said(),
      avatar(me.name),
      el("span", { class: "acting-words", "aria-hidden": "true" }, el("strong", null, me.name), chips(me.roles)),
      el("span", { class: "switch", "aria-hidden": "true" }, "Switch"),
    );
    button.addEventListener("click", () => this.#openMembers(button));
    fill(host, button);
    if (had) button.focus();
  }

  /** @param {HTMLElement} anchor */
  #openMembers(anchor) {
    const { store } = this;
    const members = store.state.members.filter((one) => !one.bot);
    const items = members.map((one) => ({
      value: one.name,
      label: one.name,
      lead: avatar(one.name),
      tail: chips(one.roles),
      selected: one.name === store.acting,
    }));
    const successor = () => byId("acting").querySelector("button");
    openMenu({ anchor, label: "Act as", items, pick: ([name]) => store.act(name), successor });
  }
}

/** @param {string[]} roles */
function chips(roles) {
  const all = roles.length
    ? roles.map((one) => el("span", { class: `role role-${one}` }, one))
    : [el("span", { class: "role none" }, "no role")];
  return el("span", { class: "roles" }, ...all);
}

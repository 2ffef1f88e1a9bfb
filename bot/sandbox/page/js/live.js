/**
 * Keeps the store equal to the world: the first load, the one event stream, and the way back after a cut.
 */

import * as api from "./api.js";

/** @typedef {import("./store.js").Store} Store */

const RELOAD_DELAY_MS = 150;
const RECONNECT_MS = 1500;
const MESSAGE_EVENTS = ["message.created", "message.updated"];
const STATE_EVENTS = [
  "part",
  "bot",
  "ready",
  "clock",
  "commands.synced",
  "member.updated",
  "thread.created",
  "thread.updated",
  "thread.deleted",
];

export class Live {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** @type {Map<string, Set<(data: any) => void>>} interaction id -> who waits for it */
    this.waiting = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.reloading = undefined;
    store.on("acting", () => this.loadMessages());
    store.on("place", () => this.loadRoom(store.place));
  }

  /**
   * Open the stream, and load everything each time that it opens: whatever happens during the load comes by the stream.
   * Never gives up: a world that is gone may come back, as itself or as a new one.
   */
  start() {
    const source = new EventSource(`${api.ROOT}/events`);
    source.onopen = () => this.load().catch(() => this.store.setLinked(false));
    source.onerror = () => {
      this.store.setLinked(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.start(), RECONNECT_MS);
    };
    this.#listen(source);
  }

  async load() {
    const { store } = this;
    store.takeState(await api.state());
    store.setLinked(true);
    await Promise.all([this.loadMessages(), this.loadFaults(), this.loadRequests()]);
  }

  async loadMessages() {
    const { store } = this;
    const places = new Set([...store.state.channels.map((one) => one.id), ...store.threads.keys(), store.place]);
    await Promise.all([...places].filter(Boolean).map((one) => this.loadRoom(one)));
  }

  /** @param {string} place */
  async loadRoom(place) {
    const { store } = this;
    const user = store.acting;
    const channel = store.state.channels.find((one) => one.id === place)?.name ?? place;
    // A place that is gone (a new world, a removed thread) is empty; a world that is away keeps what was seen.
    const messages = await api.messages({ channel, user }).catch((error) => (error.status === 404 ? [] : null));
    if (messages && user === store.acting) store.takeRoom(place, messages);
  }

  async loadFaults() {
    this.store.takeFaults(await api.faults().catch(() => []));
  }

  async loadRequests() {
    const all = await api.requests(0).catch(() => null);
    if (all) this.store.replaceRequests(all);
  }

  /**
   * Wait until an interaction is decided: answered, a modal, choices, or nothing in time.
   * @param {string} id
   * @param {(interaction: import("./types.js").Interaction) => boolean} settled
   * @returns {Promise<import("./types.js").Interaction>}
   */
  async settle(id, settled) {
    for (;;) {
      const changed = this.#change(id);
      const now = await api.interaction(id);
      if (settled(now)) return now;
      await Promise.race([changed, pause(1000)]);
    }
  }

  /** @param {string} id @returns {Promise<void>} when the stream names this interaction */
  #change(id) {
    return new Promise((resolve) => {
      const all = this.waiting.get(id) ?? new Set();
      this.waiting.set(
        id,
        all.add(() => resolve()),
      );
    });
  }

  /** @param {EventSource} source */
  #listen(source) {
    const on = (/** @type {string} */ name, /** @type {(data: any) => void} */ act) =>
      source.addEventListener(name, (event) => act(JSON.parse(/** @type {MessageEvent} */ (event).data)));
    for (const name of MESSAGE_EVENTS) on(name, (data) => this.#message(data));
    on("message.deleted", (data) => this.store.dropMessage(String(data.id)));
    on("interaction.updated", (data) => this.#interaction(String(data.id)));
    on("request", (data) => this.store.takeRequests([data]));
    for (const name of STATE_EVENTS) on(name, () => this.#reloadStateSoon());
    on("fault", () => this.loadFaults());
  }

  /** @param {import("./types.js").Message} message */
  #message(message) {
    if (this.store.visible(message)) this.store.takeMessage(message);
  }

  /** @param {string} id */
  #interaction(id) {
    for (const wake of this.waiting.get(id) ?? []) wake(null);
    this.waiting.delete(id);
  }

  #reloadStateSoon() {
    clearTimeout(this.reloading);
    this.reloading = setTimeout(async () => {
      const state = await api.state().catch(() => null);
      if (state) this.store.takeState(state);
    }, RELOAD_DELAY_MS);
  }
}

/** @param {number} ms @returns {Promise<void>} */
export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

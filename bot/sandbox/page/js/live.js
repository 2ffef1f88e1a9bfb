/**
 * Keeps the store equal to the world: the first load, the one event stream, and the way back after a cut.
 */

import * as api from "./api.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Message} Message */

/**
 * @typedef {object} Told What the stream told while an answer was on its way: it may be newer than the answer.
 * @property {Map<string, Message | null>} messages by their ids, as they stood last; null: deleted
 * @property {import("./types.js").Exchange[]} requests
 */

const RELOAD_DELAY_MS = 150;
const RECONNECT_MS = 1500;
const NEWEST = 100;
const MOST = 1000;
const REQUESTS_LOADED = 2000;
const MESSAGE_EVENTS = ["message.created", "message.updated"];
const STATE_EVENTS = [
  "part",
  "bot",
  "clock",
  "commands.synced",
  "member.updated",
  "guild.updated",
  "presence.updated",
  "thread.created",
  "thread.updated",
  "thread.deleted",
];

export class Live {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** @type {Map<string, Set<(data: import("./types.js").Interaction | null) => void>>} interaction id -> who waits */
    this.waiting = new Map();
    /** @type {Map<string, number>} how many messages of a place are wanted, when more than the newest */
    this.depth = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.reloading = undefined;
    /** How many questions were asked. */
    this.asked = 0;
    /** @type {Map<string, number>} what was asked for -> the latest question of those that were answered */
    this.answered = new Map();
    /** @type {Set<Told>} one for each question that waits for its answer */
    this.meanwhile = new Set();
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
    await this.loadState();
    store.setLinked(true);
    await Promise.all([
      this.loadMessages(),
      this.loadFaults(),
      this.loadRequests(),
      this.loadChaos(),
      this.loadMonitoring(),
    ]);
    // What was decided while the stream was cut was told to nobody.
    for (const id of [...this.waiting.keys()]) this.#interaction(id, null);
  }

  async loadState() {
    const state = await this.#ask("state", api.state);
    if (state) this.store.takeState(state.answer);
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
    const limit = this.depth.get(place) ?? NEWEST;
    const found = await this.#ask(`the place ${place}`, () =>
      api.messages({ channel, user, limit }).catch((error) => (error.status === 404 ? [] : null)),
    );
    if (!found || user !== store.acting) return;
    const messages = this.#brought(place, found.answer, found.told);
    store.takeRoom(place, messages, found.answer.length < limit || limit >= MOST);
  }

  /** The messages of a place, up to what the stream told since they were asked for. @param {string} place @param {Message[]} messages @param {Told} told */
  #brought(place, messages, told) {
    const { store } = this;
    const all = new Map(messages.map((one) => [one.id, one]));
    for (const [id, message] of told.messages) {
      if (!message) all.delete(id);
      else if (store.placeOf(message) === place && store.visible(message)) all.set(id, message);
    }
    return [...all.values()];
  }

  /** Load as much of a place as there is to be had. @param {string} place */
  async loadEarlier(place) {
    this.depth.set(place, MOST);
    await this.loadRoom(place);
  }

  async loadChaos() {
    const before = this.store.chaos;
    const chaos = await api.chaos().catch(() => null);
    // What the stream told meanwhile is newer.
    if (chaos && this.store.chaos === before) this.store.takeChaos(chaos);
  }

  async loadMonitoring() {
    const before = this.store.monitoring;
    const monitoring = await api.monitoring().catch(() => null);
    if (monitoring && this.store.monitoring === before) this.store.takeMonitoring(monitoring);
  }

  async loadFaults() {
    const faults = await this.#ask("faults", () => api.faults().catch(() => []));
    if (faults) this.store.takeFaults(faults.answer);
  }

  async loadRequests() {
    const found = await this.#ask("requests", () => api.requests({ limit: REQUESTS_LOADED }).catch(() => null));
    if (!found) return;
    const newest = found.answer.at(-1)?.n ?? 0;
    this.store.replaceRequests([...found.answer, ...found.told.requests.filter((one) => one.n > newest)]);
  }

  /**
   * Ask for how something stands, and listen meanwhile. Null when there was no answer, or when a later question after
   * the same was answered before: answers may overtake each other.
   * @template T
   * @param {string} what
   * @param {() => Promise<T | null>} question
   * @returns {Promise<{answer: T, told: Told} | null>}
   */
  async #ask(what, question) {
    const number = ++this.asked;
    /** @type {Told} */
    const told = { messages: new Map(), requests: [] };
    this.meanwhile.add(told);
    const answer = await question().finally(() => this.meanwhile.delete(told));
    if (answer === null || number < (this.answered.get(what) ?? 0)) return null;
    this.answered.set(what, number);
    return { answer, told };
  }

  /**
   * Wait until an interaction is decided: answered, a modal, choices, or nothing in time.
   * @param {string} id
   * @param {(interaction: import("./types.js").Interaction) => boolean} settled
   * @returns {Promise<import("./types.js").Interaction>}
   */
  async settle(id, settled) {
    let told = this.#change(id);
    let now = await api.interaction(id);
    while (!settled(now)) {
      const news = await told;
      told = this.#change(id);
      // The stream tells how it stands; when it was cut meanwhile, only that somebody should look.
      now = news ?? (await api.interaction(id));
    }
    return now;
  }

  /** @param {string} id @returns {Promise<import("./types.js").Interaction | null>} what the stream says of it next */
  #change(id) {
    return new Promise((resolve) => {
      const all = this.waiting.get(id) ?? new Set();
      this.waiting.set(
        id,
        all.add(resolve),
      );
    });
  }

  /** @param {EventSource} source */
  #listen(source) {
    const on = (/** @type {string} */ name, /** @type {(data: any) => void} */ act) =>
      source.addEventListener(name, (event) => act(JSON.parse(/** @type {MessageEvent} */ (event).data)));
    for (const name of MESSAGE_EVENTS) on(name, (data) => this.#message(data));
    for (const name of ["thread.created", "thread.updated"]) on(name, (data) => this.store.takeThread(data));
    on("message.deleted", (data) => this.#deleted(String(data.id)));
    on("interaction.updated", (data) => this.#interaction(String(data.id), data));
    on("typing", (data) => this.store.takeTyping(String(data.channel_id), String(data.user)));
    on("chaos", (data) => this.store.takeChaos(data));
    on("monitoring", (data) => this.store.takeMonitoring(data));
    on("request", (data) => this.#request(data));
    for (const name of STATE_EVENTS) on(name, () => this.#reloadStateSoon());
    on("fault", () => this.loadFaults());
    // What a part that was still starting could not tell is there now.
    on("ready", () => this.load().catch(() => this.store.setLinked(false)));
  }

  /** @param {Message} message */
  #message(message) {
    for (const told of this.meanwhile) told.messages.set(message.id, message);
    if (this.store.visible(message)) this.store.takeMessage(message);
  }

  /** @param {string} id */
  #deleted(id) {
    for (const told of this.meanwhile) told.messages.set(id, null);
    this.store.dropMessage(id);
  }

  /** @param {import("./types.js").Exchange} exchange */
  #request(exchange) {
    for (const told of this.meanwhile) told.requests.push(exchange);
    this.store.takeRequests([exchange]);
  }

  /** @param {string} id @param {import("./types.js").Interaction | null} now */
  #interaction(id, now) {
    const waiting = this.waiting.get(id) ?? [];
    this.waiting.delete(id);
    for (const wake of waiting) wake(now);
  }

  #reloadStateSoon() {
    clearTimeout(this.reloading);
    this.reloading = setTimeout(() => this.loadState().catch(() => undefined), RELOAD_DELAY_MS);
  }
}

/**
 * What the page knows: the world's state, the messages of each place, who is acting and where.
 * A view asks the store and listens to its topics; only `live.js` and the acts change what is in it.
 *
 * @typedef {import("./types.js").State} State
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./types.js").Channel} Channel
 * @typedef {import("./types.js").Member} Member
 * @typedef {import("./types.js").Exchange} Exchange
 * @typedef {{user: string, place: string, label: string, failed: string | null, message?: string, component?: string}} Pending
 * @typedef {"state" | "acting" | "place" | "messages" | "message" | "unread" | "requests" | "faults" | "link" | "pending" | "typing" | "chaos" | "monitoring"} Topic
 */

const REQUESTS_SHOWN = 50;
const MESSAGES_KEPT = 2000;
const TYPING_MS = 10_000;
const CUTS_KEPT = 200;
/** Parts that the bot asks every few seconds for the same: shown only where a fault met a request. */
const ASKED_FOR_EVER = ["alertmanager", "prometheus"];

/** Ids grow with time and are longer than a double can hold. @param {string} a @param {string} b */
export const byAge = (a, b) => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);

/** A small note to itself that outlives a reload; a browser that forbids it only forgets. */
const notes = {
  /** @param {string} key @returns {any} */
  read(key) {
    try {
      return JSON.parse(localStorage.getItem(`quarterdeck.${key}`) ?? "null");
    } catch {
      return null;
    }
  },
  /** @param {string} key @param {any} value */
  write(key, value) {
    try {
      localStorage.setItem(`quarterdeck.${key}`, JSON.stringify(value));
    } catch {
      // Storage is switched off: the page works the same until it is reloaded.
    }
  },
};

export { notes };

export class Store {
  constructor() {
    /** @type {State} */
    this.state = { ready: false, guild: { id: "", name: "" }, channels: [], members: [], commands: [], parts: [] };
    this.linked = false;
    /** @type {string} */
    this.acting = notes.read("acting") ?? "dev";
    /** @type {string} the id of the channel or thread on show */
    this.place = "";
    /** @type {Map<string, Map<string, Message>>} place -> message id -> message */
    this.rooms = new Map();
    /** @type {Map<string, Channel>} threads by id */
    this.threads = new Map();
    /** @type {Record<string, string>} member/place -> the newest message that was looked at */
    this.seen = notes.read("seen") ?? {};
    /** @type {Set<string>} ephemeral messages that were dismissed */
    this.dismissed = new Set(notes.read("dismissed") ?? []);
    /** @type {Pending[]} what members here have sent and the bot has not answered */
    this.pending = [];
    /** @type {Exchange[]} newest last */
    this.requests = [];
    /** @type {number[]} when Discord refused a request, in Unix seconds, oldest first */
    this.cuts = [];
    /** @type {any[]} */
    this.faults = [];
    /** @type {import("./types.js").Chaos | null} */
    this.chaos = null;
    /** @type {import("./types.js").Monitoring | null} */
    this.monitoring = null;
    /** @type {Set<string>} places that are known from their beginning */
    this.whole = new Set();
    /** @type {Set<string>} the places, and "requests", of which the world has told how they stand */
    this.known = new Set();
    /** @type {Map<string, {user: string, timer: ReturnType<typeof setTimeout>}>} place -> who types there */
    this.typing = new Map();
    /** @type {Map<string, Set<(detail: any) => void>>} */
    this.listeners = new Map();
  }

  /**
   * Be told about a topic.
   * @param {Topic} topic
   * @param {(detail: any) => void} listener
   */
  on(topic, listener) {
    const all = this.listeners.get(topic) ?? new Set();
    this.listeners.set(topic, all.add(listener));
  }

  /** Be told about a topic's next news only. @param {Topic} topic @param {(detail: any) => void} listener */
  once(topic, listener) {
    const heard = (/** @type {any} */ detail) => {
      this.listeners.get(topic)?.delete(heard);
      listener(detail);
    };
    this.on(topic, heard);
  }

  /** @param {Topic} topic @param {any} [detail] */
  tell(topic, detail) {
    for (const listener of this.listeners.get(topic) ?? []) listener(detail);
  }

  /** @param {State} state */
  takeState(state) {
    this.state = state;
    this.threads = new Map((state.threads ?? []).map((one) => [one.id, one]));
    if (!state.members.some((one) => one.name === this.acting) && state.members.length)
      this.acting = state.members[0].name;
    if (!this.place && state.channels.length)
      this.place = this.channelId(notes.read("place") ?? "") || state.channels[0].id;
    this.tell("state");
  }

  /** A thread is there before its first message comes. @param {Channel} thread */
  takeThread(thread) {
    this.threads.set(thread.id, thread);
    this.tell("state");
  }

  /** @param {boolean} linked */
  setLinked(linked) {
    if (this.linked === linked) return;
    this.linked = linked;
    this.tell("link");
  }

  /** @returns {Member | undefined} */
  get me() {
    return this.state.members.find((one) => one.name === this.acting);
  }

  /** The id of a channel that is given by id or name; empty when there is none. @param {string} name */
  channelId(name) {
    return this.state.channels.find((one) => one.id === name || one.name === name)?.id ?? "";
  }

  /** @param {string} id @returns {Channel | undefined} a channel or a thread */
  placeById(id) {
    return this.state.channels.find((one) => one.id === id) ?? this.threads.get(id);
  }

  /** Where a message stands: the id of its thread, else of its channel. @param {Message} message */
  placeOf(message) {
    return String(message.raw?.channel_id ?? this.channelId(message.channel));
  }

  /** @param {string} name */
  act(name) {
    if (name === this.acting) return;
    this.acting = name;
    notes.write("acting", name);
    for (const room of this.rooms.values()) for (const [id, message] of room) if (message.ephemeral) room.delete(id);
    this.tell("acting");
  }

  /** @param {string} id */
  show(id) {
    if (id === this.place || !id) return;
    this.place = id;
    notes.write("place", id);
    this.tell("place");
    this.markSeen(id);
  }

  /**
   * Replace what is known of one place by what the world says now.
   * @param {string} place
   * @param {Message[]} messages
   * @param {boolean} [whole] whether these are all that there are
   */
  takeRoom(place, messages, whole = true) {
    if (whole) this.whole.add(place);
    else this.whole.delete(place);
    this.known.add(place);
    this.rooms.set(place, new Map(messages.map((one) => [one.id, one])));
    this.tell("messages", place);
    this.tell("unread");
  }

  /**
   * Take in one new or changed message.
   * @param {Message} message
   * @returns {boolean} whether it was new
   */
  takeMessage(message) {
    const place = this.placeOf(message);
    const room = this.rooms.get(place) ?? new Map();
    const fresh = !room.has(message.id);
    room.set(message.id, message);
    if (room.size > MESSAGES_KEPT) room.delete(room.keys().next().value);
    this.rooms.set(place, room);
    if (fresh) this.#stopTyping(place);
    this.tell("message", { place, message, fresh });
    if (fresh) this.tell("unread");
    return fresh;
  }

  /** @param {string} id */
  dropMessage(id) {
    for (const [place, room] of this.rooms) if (room.delete(id)) this.tell("messages", place);
  }

  /** @param {string} id */
  dismiss(id) {
    this.dismissed.add(id);
    notes.write("dismissed", [...this.dismissed].slice(-200));
    this.tell("messages", this.place);
  }

  /** @param {Message} message @returns {boolean} whether the acting member may see it and has not put it away */
  visible(message) {
    return !this.dismissed.has(message.id) && (!message.ephemeral || !message.user || message.user === this.acting);
  }

  /** @param {string} place @returns {Message[]} oldest first */
  room(place) {
    const all = [...(this.rooms.get(place)?.values() ?? [])].filter((one) => this.visible(one));
    return all.sort((a, b) => byAge(a.id, b.id));
  }

  /** @param {string} id @returns {Message | undefined} */
  message(id) {
    for (const room of this.rooms.values()) if (room.has(id)) return room.get(id);
    return undefined;
  }

  /** @param {string} place */
  markSeen(place) {
    const newest = this.room(place).at(-1)?.id;
    if (!newest) return;
    this.seen[`${this.acting}/${place}`] = newest;
    notes.write("seen", this.seen);
    this.tell("unread");
  }

  /**
   * How many messages of a place the acting member has not looked at, and how many of them ping.
   * @param {string} place
   */
  unread(place) {
    const seen = this.seen[`${this.acting}/${place}`] ?? "0";
    const fresh = this.room(place).filter((one) => byAge(one.id, seen) > 0);
    return { count: fresh.length, pings: fresh.filter((one) => this.pingsMe(one)).length };
  }

  /** @param {Message} message */
  pingsMe(message) {
    const { pings } = message;
    const me = this.me;
    if (!pings || !me || message.ephemeral) return false;
    const roles = new Set([
      ...me.roles,
      ...(this.state.guild.roles ?? []).filter((one) => me.roles.includes(one.name)).map((one) => one.id),
    ]);
    return (
      Boolean(pings.everyone) ||
      pings.users.some((one) => one === me.name || one === me.id) ||
      pings.roles.some((one) => roles.has(one))
    );
  }

  /** @param {Pending} pending */
  pend(pending) {
    this.pending = [...this.pending, pending];
    this.tell("pending", pending);
    return pending;
  }

  /**
   * @param {Pending} pending
   * @param {string | null} failed why there was no answer; null when there was one
   */
  settle(pending, failed) {
    pending.failed = failed;
    if (failed === null) this.pending = this.pending.filter((one) => one !== pending);
    this.tell("pending", pending);
  }

  /** @param {Exchange[]} exchanges */
  takeRequests(exchanges) {
    const told = exchanges.filter((one) => one.fault || !ASKED_FOR_EVER.includes(one.part));
    this.requests = [...this.requests, ...told].slice(-REQUESTS_SHOWN);
    // An answer that was lost, or a bot that died, cuts one request: that is not Discord being away.
    const cut = exchanges.filter((one) => one.part === "discord" && one.fault === "refuse").map((one) => one.at);
    if (cut.length) this.cuts = [...this.cuts, ...cut].slice(-CUTS_KEPT);
    this.tell("requests");
  }

  /** @param {Exchange[]} exchanges */
  replaceRequests(exchanges) {
    this.requests = [];
    this.cuts = [];
    this.known.add("requests");
    this.takeRequests(exchanges);
  }

  /** @param {import("./types.js").Chaos} chaos */
  takeChaos(chaos) {
    this.chaos = chaos;
    this.tell("chaos");
  }

  /** @param {import("./types.js").Monitoring} monitoring */
  takeMonitoring(monitoring) {
    this.monitoring = monitoring;
    this.tell("monitoring");
  }

  /** Somebody types in a place; it is forgotten when a message came or nothing came for a while. @param {string} place @param {string} user */
  takeTyping(place, user) {
    clearTimeout(this.typing.get(place)?.timer);
    this.typing.set(place, { user, timer: setTimeout(() => this.#stopTyping(place), TYPING_MS) });
    this.tell("typing");
  }

  /** @param {string} place */
  #stopTyping(place) {
    clearTimeout(this.typing.get(place)?.timer);
    if (this.typing.delete(place)) this.tell("typing");
  }

  /** @param {any[]} faults */
  takeFaults(faults) {
    this.faults = faults;
    this.tell("faults");
  }
}

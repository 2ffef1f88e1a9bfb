/**
 * The hands of the guided tour: it acts as a member by the same ways as the visitor, lays things ready for them, and
 * waits until the world has done something.
 */

import * as api from "./api.js";
import { COMMITS } from "./samples.js";
import { byAge } from "./store.js";

/** @typedef {import("./facts.js").Facts} Facts */
/** @typedef {import("./facts.js").Card} Card */
/** @typedef {import("./facts.js").Alert} Alert */
/** @typedef {Card | Alert} Shown */

const PATIENCE_MS = 120_000;
const LOOK_MS = 500;
const AGAIN_MS = 4000;
const UNHAPPY = ["failed", "interrupted", "cancelled", "denied", "expired", "stale"];
const WORDS = 300;

/**
 * @typedef {object} Rooms What the guide works with.
 * @property {import("./store.js").Store} store
 * @property {import("./acts.js").Acts} acts
 * @property {import("./composer.js").Composer} composer
 * @property {import("./messages.js").MessageList} list
 * @property {import("./world.js").World} world
 */

export class Guide {
  /** @param {Rooms} rooms */
  constructor(rooms) {
    this.rooms = rooms;
    /** @type {() => Facts} set by the tour */
    this.facts = () => ({ cards: [], cuts: [], alerts: [] });
    /** @type {AbortController} */
    this.running = new AbortController();
  }

  /** Do something that `stop` can end. @param {() => Promise<void>} deed */
  async run(deed) {
    this.running = new AbortController();
    await deed();
  }

  stop() {
    this.running.abort(new DOMException("stopped", "AbortError"));
  }

  /** Act as a member, in a channel or a thread. @param {string} user @param {string} [place] its id; nothing: #ops */
  be(user, place) {
    const { store } = this.rooms;
    store.act(user);
    store.show(place ?? store.channelId("ops"));
  }

  /** Lay a command ready: the visitor only has to send it. @param {string} user @param {string} line */
  lay(user, line) {
    this.be(user);
    this.rooms.composer.begin(line);
  }

  /** @param {string} name the switch's key in the world panel */
  showSwitch(name) {
    this.rooms.world.point(name);
  }

  /** Show a card, and put the focus on one of its buttons when it has it. @param {Shown | undefined} card @param {string} [label] */
  showCard(card, label = "") {
    if (!card) return;
    this.rooms.store.show(this.rooms.store.placeOf(card.message));
    this.rooms.list.showMessage(card.message.id, label);
  }

  /**
   * Ask for an operation as a member, and wait for its card. What the bot asks back ("again?") is answered with yes.
   * @param {string} user
   * @param {string} command
   * @param {Record<string, string>} options
   * @returns {Promise<Card>}
   */
  async ask(user, command, options) {
    this.be(user);
    const { store, acts } = this.rooms;
    const before = store.room(store.place).at(-1)?.id ?? "0";
    const isNew = (/** @type {{id: string}} */ one) => byAge(one.id, before) > 0;
    const itsCard = () =>
      this.facts().cards.find((one) => isNew(one.message) && one.environment === options.environment);
    // A bot that did not answer may be dead: as people do, look whether it took the request, and ask again.
    while (!(await acts.command(command, options)) && !itsCard()) {
      this.running.signal.throwIfAborted();
      await pause(AGAIN_MS);
      if (itsCard()) break;
    }
    let pressed = false;
    const card = await this.until(`a card for /${command}`, () => {
      const again = store.room(store.place).find((one) => isNew(one) && one.ephemeral && buttonOf(one, "Deploy again"));
      if (again && !pressed) {
        pressed = true;
        acts.press(again, buttonOf(again, "Deploy again")?.custom_id);
      }
      return itsCard();
    });
    return card;
  }

  /** Press a button of a card as a member. @param {string} user @param {Shown} card @param {string} label */
  async press(user, card, label) {
    this.be(user, this.rooms.store.placeOf(card.message));
    const found = await this.until(`the button ${label}`, () => {
      const now = this.rooms.store.message(card.message.id);
      return now && buttonOf(now, label) ? { now, button: buttonOf(now, label) } : undefined;
    });
    await this.rooms.acts.press(found.now, found.button?.custom_id);
  }

  /**
   * Do something again and again until the world is so: a press that a dying bot did not see is pressed once more.
   * @param {string} what
   * @param {() => boolean} probe
   * @param {() => Card | undefined} card the card that it depends on
   * @param {() => Promise<any>} deed
   */
  async insist(what, probe, card, deed) {
    const end = Date.now() + PATIENCE_MS;
    while (!probe() && Date.now() < end) {
      await deed();
      const again = Date.now() + AGAIN_MS;
      await this.until(what, () => probe() || Date.now() > again, card);
    }
    await this.until(what, probe, card);
  }

  /** Push one of the sample commits. @param {"Good version" | "Broken version"} name */
  async push(name) {
    const commit = COMMITS.find((one) => one.name === name);
    await commit?.push(commit.title);
  }

  /** Make something fire, or calm it down: a host's real figures, and where nothing measures a captured payload. @param {boolean} on */
  async trouble(on) {
    const measured = this.rooms.store.monitoring?.present;
    if (measured) await api.lever("/monitoring", { lever: "burn_cpu", environment: "prod", on });
    else await api.lever("/alerts", { fixture: on ? "firing-single" : "resolved-single" });
  }

  /** Cut Discord off from the bot for a while, its gateway included. @param {number} for_s */
  async unplug(for_s) {
    await api.addFault({ part: "discord", kind: "refuse", for_s });
    await api.addFault({ part: "discord", kind: "drop_gateway", times: 1 });
  }

  /**
   * Wait until the world is so, and no longer than it still can be: a card that ended otherwise says why it cannot.
   * @template T
   * @param {string} what
   * @param {() => T | undefined | null | false} probe
   * @param {() => Card | undefined} [card] the card that it depends on
   * @returns {Promise<T>}
   */
  async until(what, probe, card = () => undefined) {
    const { signal } = this.running;
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      signal.throwIfAborted();
      const found = probe();
      if (found) return found;
      const its = card();
      if (its && UNHAPPY.includes(its.status)) throw new Error(wordsOf(its));
      if (Date.now() > end) throw new Error(`It waited two minutes for ${what}, in vain. Try it by hand.`);
      await news(this.rooms.store, signal);
    }
  }
}

/** The next change of a message, or a moment later: what is waited for may be the time itself. @param {import("./store.js").Store} store @param {AbortSignal} signal */
function news(store, signal) {
  return /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      const timer = setTimeout(resolve, LOOK_MS);
      store.once("message", () => {
        clearTimeout(timer);
        resolve();
      });
      signal.addEventListener("abort", () => resolve(), { once: true });
    })
  );
}

/** @param {number} ms @returns {Promise<void>} */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a card says, without its marks. @param {Card} card */
function wordsOf(card) {
  const words = card.text.replace(/[*`]|^(-#|>) /gm, "").replace(/\s+/g, " ");
  return words.length > WORDS ? `${words.slice(0, WORDS)}…` : words;
}

/** @param {import("./types.js").Message} message @param {string} label */
function buttonOf(message, label) {
  return message.components.find((one) => one.label === label && !one.disabled);
}

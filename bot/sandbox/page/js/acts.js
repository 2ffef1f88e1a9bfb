/**
 * What the acting member does: runs a command, presses, picks, sends a modal; and what becomes of it.
 */

import * as api from "./api.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./live.js").Live} Live */
/** @typedef {import("./types.js").Interaction} Interaction */
/** @typedef {import("./types.js").Message} Message */

const NO_ANSWER = "The application did not respond";
const FAILED = "This interaction failed";

/** @param {Interaction} one */
const isSettled = (one) => one.state !== "sent";

export class Acts {
  /**
   * @param {Store} store
   * @param {Live} live
   * @param {{openModal: (interaction: Interaction, user: string) => void, complain: (sentence: string) => void}} views
   */
  constructor(store, live, views) {
    this.store = store;
    this.live = live;
    this.views = views;
  }

  /**
   * Run a slash command in the place on show.
   * @param {string} command
   * @param {Record<string, any>} options
   * @returns {Promise<boolean>} whether the bot answered; what the world refused was said
   */
  async command(command, options) {
    const { acting: user, place } = this.store;
    return this.#follow({ user, place, label: `/${command}`, failed: null }, NO_ANSWER, () =>
      api.command({ user, channel: this.#channelName(place), command, options }),
    );
  }

  /**
   * Run a command from a message's menu.
   * @param {string} command
   * @param {Message} message
   */
  async onMessage(command, message) {
    const { acting: user, place } = this.store;
    const send = () =>
      api.command({ user, channel: this.#channelName(place), command, options: {}, target: message.id });
    return this.#follow({ user, place, label: command, failed: null }, NO_ANSWER, send);
  }

  /**
   * Press a button, or pick in a select.
   * @param {Message} message
   * @param {string} custom_id
   * @param {string[]} [values]
   */
  async press(message, custom_id, values) {
    const { acting: user, place } = this.store;
    this.store.pending = this.store.pending.filter((one) => one.message !== message.id || one.failed === null);
    return this.#follow(
      { user, place, label: "", failed: null, message: message.id, component: custom_id },
      FAILED,
      () => api.component({ user, message: message.id, custom_id, ...(values ? { values } : {}) }),
    );
  }

  /**
   * @param {Interaction} opened the interaction that was answered with the modal
   * @param {string} user
   * @param {Record<string, any>} fields
   * @returns {Promise<string | null>} null when it arrived, else the sentence that says why not
   */
  async submit(opened, user, fields) {
    try {
      const id = await api.modal({ user, interaction: opened.id, fields });
      const answer = await this.live.settle(id, isSettled);
      return answer.state === "timeout" ? "Something went wrong: the application did not respond. Try again." : null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /**
   * @param {string} command
   * @param {string} option
   * @param {string} text
   * @param {Record<string, any>} options
   * @returns {Promise<import("./types.js").Choice[]>} empty when the bot does not answer
   */
  async choices(command, option, text, options) {
    const { acting: user, place } = this.store;
    const id = await api.autocomplete({ user, channel: this.#channelName(place), command, option, text, options });
    const answer = await this.live.settle(id, isSettled);
    return answer.choices ?? [];
  }

  /** @param {import("./store.js").Pending} pending @param {string} silence @param {() => Promise<string>} send */
  async #follow(pending, silence, send) {
    this.store.pend(pending);
    try {
      const answer = await this.live.settle(await send(), isSettled);
      this.store.settle(pending, answer.state === "timeout" ? silence : null);
      if (answer.state === "modal") this.views.openModal(answer, pending.user);
      return answer.state !== "timeout";
    } catch (error) {
      this.store.settle(pending, null);
      this.views.complain(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** Channels go by name and threads by id. @param {string} place */
  #channelName(place) {
    return this.store.state.channels.find((one) => one.id === place)?.name ?? place;
  }
}

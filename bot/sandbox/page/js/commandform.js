/**
 * One chosen command: its options as chips with an input each, suggestions for the one that has the focus,
 * and the keys that lead from one to the next and at last send it.
 */

import { el } from "./dom.js";
import { packed } from "./files.js";
import { valueOf } from "./line.js";

/** @typedef {import("./types.js").Option} Option */
/** @typedef {import("./suggest.js").Suggestion} Suggestion */
/** @typedef {{option: Option, node: HTMLElement, input: HTMLInputElement, value: string | number | null, known: Suggestion[]}} Chip */

/**
 * @typedef {object} FormWish
 * @property {import("./line.js").Runnable} command
 * @property {Record<string, string>} values
 * @property {import("./store.js").Store} store
 * @property {import("./acts.js").Acts} acts
 * @property {import("./suggest.js").Suggest} suggest
 * @property {(text?: string) => void} leave
 */

const ASK_DELAY_MS = 120;
const ATTACHMENT = 11;
/** A name that holds this much of its value says it: seven digits of a commit do. */
const SAID = 7;

export class CommandForm {
  /** @param {FormWish} wish */
  constructor(wish) {
    this.wish = wish;
    this.options = wish.command.options;
    /** @type {Map<string, Chip>} */
    this.chips = new Map();
    this.asked = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.line = el("div", { class: "chips" });
    this.rest = el("div", { class: "chips-rest" });
    this.send = el("button", { class: "send", type: "submit", "aria-label": `Run /${wish.command.path}` }, "➤");
    const name = el("span", { class: "command-name" }, `/${wish.command.path}`);
    const stop = el(
      "button",
      {
        class: "icon-button leave",
        type: "button",
        "aria-label": "Leave this command",
        on: { click: () => wish.leave() },
      },
      "×",
    );
    this.node = el(
      "form",
      { class: "command-form", "aria-label": `Command ${wish.command.path}`, noValidate: true },
      name,
      this.line,
      this.rest,
      this.send,
      stop,
    );
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    for (const option of this.options)
      if (option.required || option.name in wish.values) this.#add(option, wish.values[option.name]);
    this.#drawRest();
  }

  focusFirst() {
    const empty = [...this.chips.values()].find((one) => !one.input.value && one.option.required);
    const target = empty ?? [...this.chips.values()].at(-1);
    (target?.input ?? this.send).focus();
  }

  /** A suggestion was picked for the option that has the focus. @param {Suggestion} suggestion */
  take(suggestion) {
    const chip = this.#current();
    if (!chip) return;
    chip.input.value = suggestion.title;
    chip.value = suggestion.value;
    this.#fit(chip);
    this.wish.suggest.hide();
    const next = [...this.chips.values()].find((one) => one.option.required && !one.input.value);
    if (next) next.input.focus();
  }

  /** @param {Option} option @param {string} [text] @returns {Chip} */
  #add(option, text = "") {
    const file = option.type === ATTACHMENT;
    const input = el("input", {
      class: "chip-input",
      type: file ? "file" : "text",
      autocomplete: "off",
      spellcheck: false,
      "aria-label": `${option.name}: ${option.description}`,
      role: file ? null : "combobox",
      "aria-expanded": file ? null : "false",
      "aria-controls": "suggest-list",
      "aria-required": option.required ? "true" : null,
      enterKeyHint: "send",
      inputMode: option.type === 4 || option.type === 10 ? "numeric" : "text",
    });
    const node = el("label", { class: "chip" }, el("span", { class: "chip-name" }, option.name), input);
    /** @type {Chip} */
    const chip = { option, node, input, value: null, known: [] };
    if (!file) input.value = text;
    input.addEventListener("input", () => this.#typed(chip));
    input.addEventListener("focus", () => this.#suggest(chip, 0));
    input.addEventListener("blur", () => this.wish.suggest.hide());
    input.addEventListener("keydown", (event) => this.#key(event, chip));
    this.chips.set(option.name, chip);
    this.line.append(node);
    this.#fit(chip);
    return chip;
  }

  #drawRest() {
    const rest = this.options.filter((one) => !this.chips.has(one.name));
    this.rest.replaceChildren(
      ...rest.map((option) =>
        el(
          "button",
          {
            class: "chip-add",
            type: "button",
            title: option.description,
            "aria-label": `Add ${option.name}: ${option.description}`,
            on: { click: () => this.#open(option) },
          },
          `+ ${option.name}`,
        ),
      ),
    );
  }

  /** @param {Option} option @param {string} [text] */
  #open(option, text = "") {
    const chip = this.chips.get(option.name) ?? this.#add(option);
    if (text) chip.input.value = text;
    this.#fit(chip);
    this.#drawRest();
    chip.input.focus();
  }

  #current() {
    return [...this.chips.values()].find((one) => one.input === document.activeElement);
  }

  /** @param {Chip} chip */
  #fit(chip) {
    chip.input.size = Math.max(chip.option.required ? 6 : 4, Math.min(60, chip.input.value.length + 1));
    if (chip.input.value || chip.input.type === "file") chip.node.classList.remove("lacking");
  }

  /** @param {Chip} chip */
  #typed(chip) {
    chip.value = null;
    const text = chip.input.value;
    const jump = /^(.*?)(?:^|\s)([\p{L}\p{N}_-]+):(\S*)$/su.exec(text);
    const named = jump && this.options.find((one) => one.name === jump[2]);
    if (jump && named) {
      chip.input.value = jump[1];
      if (named === chip.option) chip.input.value = jump[3];
      this.#fit(chip);
      if (named !== chip.option) return this.#open(named, jump[3]);
    } else if (/\s$/.test(text) && this.#knows(chip, text.trim())) {
      // A value that is complete, then a space: on to the next option, so that "/deploy app dev main" can be typed through.
      chip.input.value = text.trim();
      const next = this.options[this.options.indexOf(chip.option) + 1];
      if (next) return this.#open(next);
    }
    this.#fit(chip);
    return this.#suggest(chip, ASK_DELAY_MS);
  }

  /** @param {Chip} chip @param {string} text */
  #knows(chip, text) {
    return [...this.#fixed(chip.option), ...chip.known].some((one) => String(one.value) === text || one.title === text);
  }

  /** The suggestions that need no question to the bot. @param {Option} option @returns {Suggestion[]} */
  #fixed(option) {
    const { state } = this.wish.store;
    if (option.choices?.length) return option.choices.map((one) => ({ title: one.name, value: one.value }));
    if (option.type === 5)
      return [
        { title: "True", value: "true" },
        { title: "False", value: "false" },
      ];
    if (option.type === 6 || option.type === 9)
      return state.members.map((one) => ({ title: one.name, text: one.roles.join(", "), value: one.id }));
    if (option.type === 7) return state.channels.map((one) => ({ title: one.name, value: one.id }));
    if (option.type === 8) return (state.guild.roles ?? []).map((one) => ({ title: one.name, value: one.id }));
    return [];
  }

  /** @param {Chip} chip @param {number} delay_ms */
  #suggest(chip, delay_ms) {
    clearTimeout(this.timer);
    this.asked += 1;
    const mine = this.asked;
    const heading = `${chip.option.name}: ${chip.option.description}`;
    const text = chip.input.value.trim();
    const settled = chip.value !== null;
    if (!chip.option.autocomplete) {
      const fixed = this.#fixed(chip.option);
      const found = settled
        ? fixed
        : fixed.filter((one) => `${one.title} ${one.value}`.toLowerCase().includes(text.toLowerCase()));
      this.#show(chip, heading, found);
      return;
    }
    this.wish.suggest.show(chip.input, heading, [], { note: "Asking the bot…" });
    this.timer = setTimeout(async () => {
      const asked = text && !settled ? text : "";
      const choices = await this.wish.acts
        .choices(this.wish.command.path, chip.option.name, asked, this.#values(chip))
        .catch(() => []);
      const items = choices.map(suggestion);
      if (asked === "") chip.known = items;
      if (mine === this.asked && chip.input === document.activeElement) this.#show(chip, heading, items);
    }, delay_ms);
  }

  /** @param {Chip} chip @param {string} heading @param {Suggestion[]} items */
  #show(chip, heading, items) {
    const text = chip.input.value.trim();
    const done = chip.value !== null || items.some((one) => one.title === text || String(one.value) === text);
    const mark = !done && (text !== "" || Boolean(chip.option.required));
    this.wish.suggest.show(chip.input, heading, items, {
      mark,
      note: text && chip.option.autocomplete ? "Nothing fits; it is sent as you typed it." : chip.option.description,
    });
  }

  /** @param {KeyboardEvent} event @param {Chip} chip */
  #key(event, chip) {
    const { suggest } = this.wish;
    if (event.isComposing) return;
    if (event.key === "ArrowDown" && suggest.open) suggest.move(1);
    else if (event.key === "ArrowUp" && suggest.open) suggest.move(-1);
    else if (event.key === "Enter" && suggest.marked) this.take(suggest.marked);
    else if (event.key === "Enter") this.submit();
    else if (event.key === "Escape") this.#escape();
    else if (event.key === "Backspace" && chip.input.value === "") this.#back(chip);
    else {
      if (event.key === "Tab" && !event.shiftKey && suggest.marked) this.#takeStill(chip, suggest.marked);
      return;
    }
    event.preventDefault();
  }

  /** Take the marked suggestion and let Tab move on by itself. @param {Chip} chip @param {Suggestion} marked */
  #takeStill(chip, marked) {
    chip.input.value = marked.title;
    chip.value = marked.value;
    this.#fit(chip);
  }

  #escape() {
    if (this.wish.suggest.open) this.wish.suggest.hide();
    else this.wish.leave();
  }

  /** Backspace in an empty chip: away with it, or out of the command. @param {Chip} chip */
  #back(chip) {
    const all = [...this.chips.values()];
    const before = all[all.indexOf(chip) - 1];
    if (!chip.option.required) {
      chip.node.remove();
      this.chips.delete(chip.option.name);
      this.#drawRest();
    }
    if (before) before.input.focus();
    else if (chip.option.required || this.chips.size === 0) this.wish.leave(`/${this.wish.command.path}`);
    else this.focusFirst();
  }

  /** @param {Chip} [except] @returns {Record<string, any>} */
  #values(except) {
    const filled = [...this.chips.values()].filter(
      (one) => one !== except && one.option.type !== ATTACHMENT && one.input.value.trim(),
    );
    return Object.fromEntries(
      filled.map((one) => [one.option.name, valueOf(one.option, one.value ?? this.#typedValue(one))]),
    );
  }

  /** A member, channel or role that was typed by name goes by its id. @param {Chip} chip */
  #typedValue(chip) {
    const text = chip.input.value.trim();
    return this.#fixed(chip.option).find((one) => one.title.toLowerCase() === text.toLowerCase())?.value ?? text;
  }

  /** Send the command, or go to the first required option that is empty. */
  async submit() {
    const lacking = [...this.chips.values()].find((one) => one.option.required && !one.input.value.trim());
    if (lacking) {
      lacking.node.classList.add("lacking");
      lacking.input.focus();
      return;
    }
    const options = this.#values();
    for (const chip of this.chips.values())
      if (chip.option.type === ATTACHMENT && chip.input.files?.[0])
        options[chip.option.name] = await packed(chip.input.files[0]);
    this.wish.leave();
    await this.wish.acts.command(this.wish.command.path, options);
  }
}

/** A choice as a suggestion; its value is shown beside it when its name does not say it. @param {import("./types.js").Choice} one */
function suggestion(one) {
  const value = String(one.value);
  return { title: one.name, text: one.name.includes(value.slice(0, SAID)) ? "" : value, value: one.value };
}

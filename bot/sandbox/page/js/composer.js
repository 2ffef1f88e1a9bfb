/**
 * The line at the foot of the chat. A slash opens the list of commands; a chosen command becomes a form of chips.
 */

import { CommandForm } from "./commandform.js";
import { byId, el, fill } from "./dom.js";
import { matching, parse, runnables } from "./line.js";
import { Suggest } from "./suggest.js";

/** @typedef {import("./line.js").Runnable} Runnable */
/** @typedef {import("./suggest.js").Suggestion} Suggestion */

const LISTED = 100;

export class Composer {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./acts.js").Acts} acts
   * @param {(sentence: string) => void} complain
   */
  constructor(store, acts, complain) {
    this.store = store;
    this.acts = acts;
    this.complain = complain;
    this.host = byId("composer");
    this.suggest = new Suggest((one) => this.#pick(one));
    this.input = el("input", {
      id: "composer-input",
      class: "composer-input",
      type: "text",
      autocomplete: "off",
      spellcheck: false,
      role: "combobox",
      "aria-expanded": "false",
      "aria-controls": "suggest-list",
      "aria-autocomplete": "list",
      enterKeyHint: "send",
    });
    this.slash = el(
      "button",
      { class: "slash", type: "button", "aria-label": "Show the commands", on: { click: () => this.begin("/") } },
      "/",
    );
    this.box = el("div", { class: "composer-box" });
    /** @type {CommandForm | null} */
    this.form = null;
    this.host.append(this.suggest.node, this.box);
    this.input.addEventListener("input", () => this.#typed());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("blur", () => this.suggest.hide());
    this.input.addEventListener("focus", () => this.#typed());
    store.on("place", () => this.#name());
    store.on("state", () => this.#name());
    this.reset();
  }

  get commands() {
    const { state, acting } = this.store;
    return runnables(state.commands.filter((one) => one.visible_to?.includes(acting) ?? true));
  }

  /** Back to an empty line. @param {string} [text] */
  reset(text = "") {
    const had = this.form !== null;
    this.form = null;
    this.suggest.hide();
    this.input.value = text;
    fill(this.box, this.slash, this.input);
    this.#name();
    if (had) this.input.focus();
  }

  /** Put a line in, as if it had been typed; a whole command becomes a form. @param {string} line */
  begin(line) {
    this.reset(line);
    this.input.focus();
    const said = line.trim() === "/" ? null : parse(this.commands, line);
    if (said) this.#openForm(said.command, said.values);
    else this.#typed();
  }

  #name() {
    const place = this.store.placeById(this.store.place);
    const where = place ? (place.parent ? place.name : `#${place.name}`) : "the channel";
    this.input.placeholder = `Type / for commands in ${where}`;
    this.input.setAttribute("aria-label", `Command line in ${where}`);
  }

  #typed() {
    const text = this.input.value;
    if (!text.startsWith("/")) {
      this.suggest.hide();
      return;
    }
    const exact = /\s$/.test(text) ? this.commands.find((one) => one.path === text.slice(1).trim()) : undefined;
    if (exact) {
      this.#openForm(exact, {});
      return;
    }
    if (parse(this.commands, text) && /\S\s+\S/.test(text)) {
      this.suggest.show(this.input, "", [], { note: "Enter runs it" });
      return;
    }
    const found = matching(this.commands, text.slice(1)).slice(0, LISTED);
    const items = found.map((one) => ({ title: `/${one.path}`, text: one.description, value: one }));
    this.suggest.show(this.input, "Commands of Quarterdeck", items, { note: this.#noCommands() });
  }

  #noCommands() {
    if (!this.store.state.commands.length) return "The bot has not registered its commands yet.";
    return "There is no command of that name.";
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { suggest } = this;
    if (event.isComposing) return;
    if (event.key === "ArrowDown" && suggest.open) suggest.move(1);
    else if (event.key === "ArrowUp" && suggest.open) suggest.move(-1);
    else if (event.key === "Escape") suggest.hide();
    else if (event.key === "Tab" && !event.shiftKey && suggest.marked) this.#pick(suggest.marked);
    else if (event.key === "Enter") this.#enter();
    else return;
    event.preventDefault();
  }

  #enter() {
    const text = this.input.value.trim();
    const said = text.startsWith("/") ? parse(this.commands, text) : null;
    if (said && Object.keys(said.values).length) {
      this.#openForm(said.command, said.values);
      this.form?.submit();
    } else if (this.suggest.marked) this.#pick(this.suggest.marked);
    else if (said) this.#openForm(said.command, {});
    else if (text)
      this.complain(text.startsWith("/") ? this.#noCommands() : "In this world members run commands: begin with /.");
  }

  /** @param {Suggestion} one */
  #pick(one) {
    if (this.form) this.form.take(one);
    else this.#openForm(one.value, {});
  }

  /** @param {Runnable} command @param {Record<string, string>} values */
  #openForm(command, values) {
    this.suggest.hide();
    this.form = new CommandForm({
      command,
      values,
      store: this.store,
      acts: this.acts,
      suggest: this.suggest,
      leave: (text) => this.reset(text),
    });
    fill(this.box, this.form.node);
    this.form.focusFirst();
  }
}

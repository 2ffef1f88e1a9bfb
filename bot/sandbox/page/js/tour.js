/**
 * The guided tour: what there is to be tried, step by step. A step ticks itself when the world says so, whoever did it
 * and however; it can be done by hand, with everything laid ready, or be left to the tour.
 */

import { byId, el, fill } from "./dom.js";
import { alertOf, cardOf } from "./facts.js";
import { byAge, notes } from "./store.js";
import { STEPS } from "./steps.js";
import { toast } from "./toasts.js";

/** @typedef {import("./facts.js").Facts} Facts */
/** @typedef {import("./steps.js").Step} Step */
/** @typedef {{open: boolean, since: string, since_s: number}} Kept */

const ALERTS = ["alerts", "alerts-critical"];

export class Tour {
  /** @param {import("./store.js").Store} store @param {import("./guide.js").Guide} guide */
  constructor(store, guide) {
    this.store = store;
    this.guide = guide;
    this.node = byId("tour");
    this.toggle = byId("toggle-tour");
    /** @type {Kept} */
    this.kept = { open: true, since: "0", since_s: 0, ...notes.read("tour") };
    /** @type {string} the step that is open; empty: the first that is not done */
    this.chosen = "";
    this.busy = "";
    this.drawn = "";
    /** @type {Set<string>} */
    this.said = new Set();
    guide.facts = () => this.facts();
    this.toggle.addEventListener("click", () => this.show(!this.kept.open));
    for (const topic of /** @type {const} */ (["state", "message", "messages", "requests"]))
      store.on(topic, () => this.draw());
    this.show(this.kept.open);
  }

  /** @returns {Facts} what happened since the tour began */
  facts() {
    const { store } = this;
    const room = (/** @type {string} */ name) => store.room(store.channelId(name));
    return {
      cards: room("ops")
        .filter((one) => byAge(one.id, this.kept.since) > 0)
        .map(cardOf)
        .filter((one) => one !== null),
      cuts: store.cuts.filter((at_s) => at_s > this.kept.since_s),
      // An alert that comes again has the card of the last time, so that the card's last word counts, not its first.
      alerts: ALERTS.flatMap(room)
        .map(alertOf)
        .filter((one) => one !== null && one.told_s > this.kept.since_s),
    };
  }

  /** Whether all is loaded that the facts are read from: before that nothing is known, which is not "nothing done". */
  get informed() {
    const { store } = this;
    const places = ["ops", ...ALERTS].map((one) => store.channelId(one)).filter(Boolean);
    return places.length > 0 && ["requests", ...places].every((one) => store.known.has(one));
  }

  /** @param {boolean} open */
  show(open) {
    this.kept = { ...this.kept, open };
    notes.write("tour", this.kept);
    this.node.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    this.drawn = "";
    this.draw();
  }

  /** Forget what was reached: only what happens from now on counts. */
  restart() {
    const newest = this.store.room(this.store.channelId("ops")).at(-1)?.id ?? "0";
    this.kept = { open: true, since: newest, since_s: Date.now() / 1000 };
    this.chosen = "";
    this.said.clear();
    this.show(true);
  }

  draw() {
    const { store } = this;
    if (!this.kept.open || !this.informed) return;
    const facts = this.facts();
    const reached = new Map(STEPS.map((one) => [one.key, progress(one, facts)]));
    const isDone = (/** @type {Step} */ one) => reached.get(one.key) === one.tasks.length;
    const done = STEPS.filter(isDone);
    const current = STEPS.find((one) => one.key === this.chosen) ?? STEPS.find((one) => !isDone(one));
    const now = JSON.stringify([[...reached], current?.key, this.busy]);
    if (now === this.drawn) return;
    if (this.drawn) this.#announce(done);
    for (const one of done) this.said.add(one.key);
    this.drawn = now;
    const focus = this.node.contains(document.activeElement)
      ? /** @type {HTMLElement} */ (document.activeElement).dataset.key
      : undefined;
    fill(
      this.node,
      this.#head(done.length),
      el("ol", { class: "tour-steps" }, ...STEPS.map((one, index) => this.#tab(one, index, isDone(one), one === current))),
      current ? this.#body(current, reached.get(current.key) ?? 0) : ending(this.guide),
    );
    if (focus) this.#focus(focus);
  }

  /** @param {string} key */
  #focus(key) {
    const same = this.node.querySelector(`[data-key="${CSS.escape(key)}"]:not(:disabled)`);
    /** @type {HTMLElement | null} */ (same ?? this.node.querySelector("[data-key]:not(:disabled)"))?.focus();
  }

  /** @param {Step[]} done */
  #announce(done) {
    const fresh = done.filter((one) => !this.said.has(one.key));
    if (fresh.length) byId("announcer").textContent = `Tour: ${fresh.map((one) => one.title).join(", ")}, done.`;
  }

  /** @param {number} done */
  #head(done) {
    const again = el(
      "button",
      { class: "text-button", type: "button", data: { key: "again" }, on: { click: () => this.restart() } },
      "Begin again",
    );
    const close = el(
      "button",
      { class: "icon-button", type: "button", "aria-label": "Close the tour", data: { key: "close" } },
      "×",
    );
    close.addEventListener("click", () => {
      this.show(false);
      this.toggle.focus();
    });
    return el(
      "header",
      { class: "tour-head" },
      el("h2", null, "Guided tour"),
      el("span", { class: "tour-count" }, `${done} of ${STEPS.length} done`),
      done ? again : null,
      close,
    );
  }

  /** @param {Step} step @param {number} index @param {boolean} done @param {boolean} current */
  #tab(step, index, done, current) {
    const button = el(
      "button",
      {
        class: `tour-tab ${done ? "done" : ""}`,
        type: "button",
        "aria-current": current ? "step" : null,
        data: { key: `tab-${step.key}` },
        on: { click: () => this.#choose(step.key) },
      },
      el("span", { class: "sr-only" }, `Step ${index + 1}: ${step.title}${done ? ", done" : ""}`),
      el("span", { class: "tour-mark", "aria-hidden": "true" }, done ? "✓" : String(index + 1)),
      el("span", { class: "tour-name", "aria-hidden": "true" }, step.title),
    );
    return el("li", null, button);
  }

  /** @param {string} key */
  #choose(key) {
    this.chosen = key;
    this.draw();
  }

  /** @param {Step} step @param {number} reached how many tasks of it are done */
  #body(step, reached) {
    const task = step.tasks[reached];
    const tasks = step.tasks.map((one, index) =>
      el(
        "li",
        { class: index < reached ? "task done" : index === reached ? "task next" : "task" },
        el("span", { class: "task-mark", "aria-hidden": "true" }, index < reached ? "✓" : "·"),
        el("span", null, one.text, index < reached ? el("span", { class: "sr-only" }, " (done)") : null),
      ),
    );
    return el(
      "div",
      { class: "tour-body" },
      el("p", null, step.text),
      el("ul", { class: "tasks" }, ...tasks),
      task ? this.#buttons(step, task) : this.#onwards(),
    );
  }

  /** @param {Step} step @param {import("./steps.js").Task} task */
  #buttons(step, task) {
    if (this.busy === step.key)
      return el(
        "div",
        { class: "row" },
        el("span", { class: "thinking", role: "status" }, dots(), "Doing it for you…"),
        el(
          "button",
          { class: "button small secondary", type: "button", data: { key: "stop" }, on: { click: () => this.guide.stop() } },
          "Stop",
        ),
      );
    const forMe = el(
      "button",
      { class: "button small primary", type: "button", disabled: this.busy !== "", data: { key: "act" } },
      "Do it for me",
    );
    forMe.addEventListener("click", () => this.#act(step));
    const mine = el("button", { class: "button small secondary", type: "button", data: { key: "how" } }, task.hand);
    mine.addEventListener("click", () => this.#attempt(() => task.how(this.guide)));
    return el("div", { class: "row" }, forMe, mine);
  }

  #onwards() {
    const next = el("button", { class: "button small primary", type: "button", data: { key: "next" } }, "Next step");
    next.addEventListener("click", () => this.#choose(""));
    return el("div", { class: "row" }, next);
  }

  /** Do what is left of a step, one task after the other. @param {Step} step */
  async #act(step) {
    this.busy = this.chosen = step.key;
    this.draw();
    await this.#attempt(() =>
      this.guide.run(async () => {
        for (let at = progress(step, this.facts()); at < step.tasks.length; at = Math.max(at + 1, progress(step, this.facts())))
          await step.tasks[at].act(this.guide);
      }),
    );
    this.busy = "";
    this.chosen = "";
    this.draw();
  }

  /** @param {() => any} deed */
  async #attempt(deed) {
    try {
      await deed();
    } catch (error) {
      if (error instanceof Error && error.name === "AbortError") return;
      toast("The tour cannot go on by itself", error instanceof Error ? error.message : String(error), { kind: "problem" });
    }
  }
}

/** How many of a step's tasks are done: a later one that is done says that those before it were. @param {Step} step @param {Facts} facts */
function progress(step, facts) {
  return step.tasks.findLastIndex((one) => one.done(facts)) + 1;
}

/** @param {import("./guide.js").Guide} guide */
function ending(guide) {
  const chaos = el("button", { class: "button small secondary", type: "button", data: { key: "chaos" } }, "Show the chaos switch");
  chaos.addEventListener("click", () => guide.showSwitch("chaos"));
  return el(
    "div",
    { class: "tour-body" },
    el("p", null, "That was all of it. Now switch chaos on and work while the bot is killed and its wires are cut."),
    el("div", { class: "row" }, chaos),
  );
}

function dots() {
  return el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
}

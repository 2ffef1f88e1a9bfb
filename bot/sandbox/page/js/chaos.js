/**
 * The chaos switch of the world panel, and the world's own count of what it cost.
 */

import { el, fill } from "./dom.js";

const FIGURES = /** @type {const} */ (["killed", "lost", "doubled"]);
const TICK_MS = 1000;
const FOR_S = 600;

export class ChaosBox {
  /** @param {import("./store.js").Store} store @param {(on: boolean, for_s: number) => void} flip */
  constructor(store, flip) {
    this.store = store;
    this.words = el("small", null, "");
    this.switch = el(
      "button",
      { class: "switch-row", type: "button", role: "switch", "aria-checked": "false", data: { switch: "chaos" } },
      el("span", { class: "switch-words" }, el("span", null, "Chaos"), this.words),
      el("span", { class: "knob", "aria-hidden": "true" }),
    );
    this.switch.addEventListener("click", () => flip(!this.store.chaos?.on, FOR_S));
    this.figures = el("dl", { class: "toll", "aria-label": "What it cost" });
    this.notes = el("ul", { class: "fault-list" });
    this.node = el("div", { class: "chaos" }, el("div", { class: "switches" }, this.switch), this.figures, this.notes);
    this.at = Date.now();
    store.on("chaos", () => {
      this.at = Date.now();
      this.draw();
    });
    setInterval(() => this.#tick(), TICK_MS);
    this.draw();
  }

  draw() {
    const { chaos } = this.store;
    this.switch.setAttribute("aria-checked", String(Boolean(chaos?.on)));
    fill(
      this.figures,
      ...FIGURES.map((name) => {
        const bad = name !== "killed" && (chaos?.[name] ?? 0) > 0;
        return el(
          "div",
          null,
          el("dt", null, name),
          el("dd", { class: bad ? "bad" : "", data: { figure: name } }, String(chaos?.[name] ?? "…")),
        );
      }),
    );
    const waiting = chaos?.on_the_way ? [`${chaos.on_the_way} taken and still without a card`] : [];
    const lines = [`of ${chaos?.taken ?? 0} requests taken, counted from the world`, ...waiting, ...(chaos?.said ?? [])];
    fill(this.notes, ...lines.map((one) => el("li", null, one)));
    this.#tick();
  }

  #tick() {
    const { chaos } = this.store;
    const left = Math.ceil((chaos?.left_s ?? 0) - (Date.now() - this.at) / 1000);
    const idle = chaos?.last ? `off: ${chaos.last}` : "kills the bot and cuts wires at random";
    this.words.textContent = chaos?.on ? `on, ${Math.max(0, left)} s left${chaos.last ? ` · ${chaos.last}` : ""}` : idle;
  }
}

/**
 * The monitoring box of the world panel: what makes the real alerts fire, and where there are none, stored payloads.
 */

import * as api from "./api.js";
import { el, fill } from "./dom.js";

/** @typedef {import("./types.js").Monitoring} Monitoring */
/** @typedef {{name: string, text: string, on: (now: Monitoring, environment: string) => boolean, pull: (on: boolean, environment: string) => Promise<any>}} Lever */

/** @param {string} lever @returns {(on: boolean, environment: string) => Promise<any>} */
const move = (lever) => (on, environment) => api.lever("/monitoring", { lever, environment, on });

/** @type {Lever} it needs no monitoring to be true */
const STOP_APP = {
  name: "Stop the app",
  text: "the service goes down, until it is started again",
  on: (now, environment) => now.hosts[environment]?.stop_app ?? false,
  pull: move("stop_app"),
};

/** @type {Lever[]} */
const LEVERS = [
  {
    name: "Burn CPU",
    text: "the host's figure goes to 91 %, not this machine's",
    on: (now, environment) => Boolean(now.hosts[environment]?.burn_cpu),
    pull: move("burn_cpu"),
  },
  {
    name: "Fill the disk",
    text: "both file systems of the host get full",
    on: (now, environment) => Object.keys(now.hosts[environment]?.fill_disk ?? {}).length > 0,
    pull: move("fill_disk"),
  },
  STOP_APP,
  {
    name: "Stop the heartbeat",
    text: "the alert that always fires no longer does",
    on: (now) => now.watchdog_off,
    pull: move("watchdog_off"),
  },
  server("prometheus", "Stop Prometheus"),
  server("alertmanager", "Stop Alertmanager"),
];

/** @param {string} name @param {string} title @returns {Lever} */
function server(name, title) {
  return {
    name: title,
    text: "its process ends, until it is started again",
    on: (now) => (now.servers[name] ?? []).some((one) => one !== "running"),
    pull: (on) => api.lever("/monitoring/server", { server: name, action: on ? "stop" : "start" }),
  };
}

export class MonitoringBox {
  /**
   * @param {import("./store.js").Store} store
   * @param {(act: () => Promise<any>) => Promise<any>} attempt
   */
  constructor(store, attempt) {
    this.store = store;
    this.attempt = attempt;
    this.environment = "prod";
    this.places = el("div", { class: "speeds", role: "radiogroup", "aria-label": "Environment of the switches" });
    this.switches = el("div", { class: "switches" });
    this.payloads = el("div", { class: "row" });
    this.words = el("p", { class: "world-text" });
    this.node = el("div", { class: "monitoring" }, this.places, this.switches, this.words, this.payloads);
    store.on("monitoring", () => this.draw());
    this.draw();
  }

  draw() {
    const now = this.store.monitoring;
    const focus = /** @type {HTMLElement | null} */ (
      this.node.contains(document.activeElement) ? document.activeElement : null
    )?.dataset;
    fill(this.places, ...Object.keys(now?.hosts ?? {}).map((one) => this.#place(one)));
    const levers = !now ? [] : now.present ? LEVERS : [STOP_APP];
    fill(this.switches, ...levers.map((one) => this.#switch(one, /** @type {Monitoring} */ (now))));
    const absent = now && !now.present;
    this.words.textContent = !now ? "Not up yet." : absent ? "Nothing measures here. Post a captured alert:" : "";
    fill(this.payloads, ...(absent ? now.fixtures : []).map((one) => this.#payload(one)));
    const key = focus?.switch ?? focus?.place;
    if (key)
      /** @type {HTMLElement | null} */ (
        this.node.querySelector(`[data-switch="${CSS.escape(key)}"], [data-place="${CSS.escape(key)}"]`)
      )?.focus({ preventScroll: true });
  }

  /** @param {string} name */
  #place(name) {
    const checked = name === this.environment;
    const input = el("input", { type: "radio", name: "moved", value: name, checked, data: { place: name } });
    input.addEventListener("change", () => {
      this.environment = name;
      this.draw();
    });
    return el("label", { class: "speed" }, input, el("span", null, name));
  }

  /** @param {Lever} lever @param {Monitoring} now */
  #switch(lever, now) {
    const on = lever.on(now, this.environment);
    const node = el(
      "button",
      {
        class: "switch-row",
        type: "button",
        role: "switch",
        "aria-checked": String(on),
        data: { switch: lever.name },
      },
      el("span", { class: "switch-words" }, el("span", null, lever.name), el("small", null, lever.text)),
      el("span", { class: "knob", "aria-hidden": "true" }),
    );
    node.addEventListener("click", () => this.attempt(() => lever.pull(!on, this.environment)));
    return node;
  }

  /** @param {string} fixture */
  #payload(fixture) {
    return el(
      "button",
      {
        class: "button small secondary",
        type: "button",
        on: { click: () => this.attempt(() => api.lever("/alerts", { fixture })) },
      },
      fixture,
    );
  }
}

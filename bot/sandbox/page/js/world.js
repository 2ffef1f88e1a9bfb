/**
 * The right column: what this world is made of, how it does, and the switches that make it misbehave.
 */

import * as api from "./api.js";
import { ChaosBox } from "./chaos.js";
import { byId, el, fill, outerLink } from "./dom.js";
import { MonitoringBox } from "./monitoring.js";
import { RequestList } from "./requests.js";
import { COMMITS } from "./samples.js";
import { notes } from "./store.js";
import { toast } from "./toasts.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Part} Part */
/** @typedef {{name: string, text: string, act: () => Promise<any>, isOn: (fault: any) => boolean}} Switch */

const SPEEDS = [1, 2, 5, 20];
const LEFT_TICK_MS = 1000;

/** @type {{name: string, text: string, body: Record<string, any>}[]} faults of the wire, by one press */
const FAULTS = [
  { name: "Discord refuses", text: "its API hangs up for 60 s", body: { part: "discord", kind: "refuse", for_s: 60 } },
  {
    name: "Gateway drops",
    text: "the bot's socket is cut once",
    body: { part: "discord", kind: "drop_gateway", times: 1 },
  },
  {
    name: "GitHub rate limit",
    text: "403 with Retry-After 20 s",
    body: { part: "github", kind: "rate_limit", seconds: 20, for_s: 20 },
  },
  {
    name: "AWS is slow",
    text: "every answer 2 s later, for 60 s",
    body: { part: "aws", kind: "latency", seconds: 2, for_s: 60 },
  },
];

/** @type {{name: string, text: string, path: string, body: Record<string, any>}[]} what the next run will do */
const OUTCOMES = [
  {
    name: "Next build fails",
    text: "the workflow's next run ends red",
    path: "/github/outcome",
    body: { workflow: "build-image.yml", conclusion: "failure", times: 1 },
  },
  {
    name: "Next host command fails",
    text: "exit code 1 on the host",
    path: "/host/outcome",
    body: { document: "quarterdeck-deploy", exit_code: 1, seconds: 2, times: 1 },
  },
];

export class World {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.node = byId("world");
    this.toggle = byId("toggle-world");
    this.wasReady = false;
    this.parts = el("ul", { class: "parts" });
    this.faultRows = el("div", { class: "switches" });
    this.faultList = el("ul", { class: "fault-list" });
    this.bot = el("div", { class: "bot-state" });
    this.services = el("ul", { class: "services" });
    this.speeds = el("div", { class: "speeds", role: "radiogroup", "aria-label": "Speed of builds and rollouts" });
    const requests = new RequestList(store);
    const chaos = new ChaosBox(store, (on, for_s) =>
      attempt(async () => store.takeChaos(await api.lever("/chaos", on ? { on, for_s } : { on }))),
    );
    const monitoring = new MonitoringBox(store, attempt);
    const close = el(
      "button",
      {
        class: "icon-button only-phone",
        type: "button",
        "aria-label": "Close the world panel",
        on: { click: () => this.show(false) },
      },
      "×",
    );
    fill(
      this.node,
      el("header", { class: "world-head" }, el("h2", null, "World"), close),
      el(
        "div",
        { class: "world-body" },
        section("Services", this.services),
        section("Parts", this.parts),
        section("Bot", this.bot, this.#botButtons()),
        section(
          "Push a commit",
          el("p", { class: "world-text" }, "A new commit on main, ready to be deployed."),
          this.#commits(),
        ),
        section("Monitoring", monitoring.node),
        section("Make something fail", this.faultRows, this.faultList),
        section("Chaos", chaos.node),
        section(
          "Clock",
          el("p", { class: "world-text" }, "How much faster than real time builds and rollouts go."),
          this.speeds,
        ),
        section("Requests", requests.node),
      ),
    );
    this.toggle.addEventListener("click", () => this.show(!this.shown));
    this.node.addEventListener(
      "keydown",
      (event) => event.key === "Escape" && window.matchMedia("(max-width: 1100px)").matches && this.show(false),
    );
    store.on("state", () => this.#drawParts());
    store.on("link", () => this.#drawParts());
    store.on("faults", () => this.#drawFaults());
    this.#drawFaults();
    setInterval(() => this.#tick(), LEFT_TICK_MS);
    this.show(notes.read("world") ?? window.innerWidth > 1100, false);
  }

  get shown() {
    return this.node.classList.contains("open");
  }

  /** @param {boolean} open @param {boolean} [keep] */
  show(open, keep = true) {
    this.node.classList.toggle("open", open);
    byId("app").classList.toggle("with-world", open);
    this.toggle.setAttribute("aria-expanded", String(open));
    if (keep && window.innerWidth > 1100) notes.write("world", open);
    if (keep && !open) this.toggle.focus();
  }

  /** Open the panel at one of its switches. @param {string} name */
  point(name) {
    this.show(true, false);
    /** @type {HTMLElement | null} */
    const found = this.node.querySelector(`[data-switch="${CSS.escape(name)}"]`);
    found?.scrollIntoView({ block: "center" });
    found?.focus({ preventScroll: true });
  }

  #drawParts() {
    const { state, linked } = this.store;
    fill(this.services, ...(state.services ?? []).map(serviceRow));
    if (!state.services?.length) fill(this.services, el("li", { class: "world-text" }, "Not up yet."));
    fill(
      this.parts,
      ...[...state.parts].sort((a, b) => Number(a.kind === "absent") - Number(b.kind === "absent")).map(partRow),
    );
    this.#drawSpeeds();
    const bot = state.parts.find((one) => one.name === "bot");
    fill(
      this.bot,
      el("span", { class: `dot ${state.ready && linked ? "up" : "wait"}`, "aria-hidden": "true" }),
      el("span", null, bot?.detail || (state.ready ? "online" : "not ready yet")),
    );
    byId("world-dot").className = `dot ${!linked ? "down" : state.ready ? "up" : "wait"}`;
    const ready = byId("ready");
    this.wasReady ||= state.ready;
    const waiting = this.wasReady ? "The bot is away…" : "The world is starting…";
    ready.textContent = !linked ? "World unreachable, trying again…" : state.ready ? "" : waiting;
    ready.className = `ready ${!linked ? "down" : state.ready ? "" : "wait"}`;
  }

  #botButtons() {
    const one = (/** @type {string} */ action, /** @type {string} */ label, /** @type {string} */ style) =>
      el(
        "button",
        {
          class: `button small ${style}`,
          type: "button",
          on: { click: () => attempt(() => api.lever("/bot", { action })) },
        },
        label,
      );
    return el(
      "div",
      { class: "row" },
      one("start", "Start", "secondary"),
      one("stop", "Stop", "secondary"),
      one("kill", "Kill -9", "danger"),
    );
  }

  #commits() {
    const one = (/** @type {import("./samples.js").Commit} */ commit) =>
      el(
        "button",
        {
          class: "button small secondary",
          type: "button",
          title: commit.title,
          on: { click: () => this.#push(commit) },
        },
        commit.name,
      );
    return el("div", { class: "row" }, ...COMMITS.map(one));
  }

  /** @param {import("./samples.js").Commit} commit */
  async #push(commit) {
    const answer = await attempt(() => commit.push(commit.title));
    if (answer) toast("Pushed to main", `${String(answer.sha).slice(0, 7)} · ${commit.title}`);
  }

  #drawSpeeds() {
    const now = this.store.state.world?.speed ?? 1;
    const had = this.speeds.contains(document.activeElement);
    fill(
      this.speeds,
      ...[...new Set([...SPEEDS, now])].sort((a, b) => a - b).map((speed) => {
        const input = el("input", { type: "radio", name: "speed", value: String(speed), checked: speed === now });
        input.addEventListener("change", () => attempt(() => api.lever("/clock", { speed })));
        return el("label", { class: "speed" }, input, el("span", null, `${speed}×`));
      }),
    );
    if (had) /** @type {HTMLElement | null} */ (this.speeds.querySelector("input:checked"))?.focus();
  }

  #drawFaults() {
    const { faults } = this.store;
    const focus = this.faultRows.contains(document.activeElement)
      ? /** @type {HTMLElement} */ (document.activeElement).dataset.switch
      : undefined;
    fill(
      this.faultRows,
      ...FAULTS.map((one) =>
        this.#switch(
          one,
          faults.find(
            (fault) => fault.part === one.body.part && fault.kind === one.body.kind && (fault.match ?? "") === "",
          ),
        ),
      ),
      ...OUTCOMES.map((one) =>
        el(
          "button",
          { class: "switch-row", type: "button", data: { switch: one.name }, on: { click: () => this.#arm(one) } },
          el("span", { class: "switch-words" }, el("span", null, one.name), el("small", null, one.text)),
          el("span", { class: "arm" }, "Arm"),
        ),
      ),
    );
    if (focus)
      /** @type {HTMLElement | null} */ (
        this.faultRows.querySelector(`[data-switch="${CSS.escape(focus)}"]`)
      )?.focus({ preventScroll: true });
    const known = (/** @type {any} */ fault) =>
      FAULTS.some((one) => one.body.part === fault.part && one.body.kind === fault.kind && (fault.match ?? "") === "");
    fill(this.faultList, ...faults.filter((one) => !known(one)).map((one) => this.#otherFault(one)));
  }

  /** @param {{name: string, text: string, body: Record<string, any>}} wish @param {any} fault */
  #switch(wish, fault) {
    const node = el(
      "button",
      {
        class: "switch-row",
        type: "button",
        role: "switch",
        "aria-checked": String(Boolean(fault)),
        data: { switch: wish.name },
      },
      el(
        "span",
        { class: "switch-words" },
        el("span", null, wish.name),
        el("small", { data: { left: fault?.left_s ?? "", words: wish.text, since: String(Date.now()) } }, wish.text),
      ),
      el("span", { class: "knob", "aria-hidden": "true" }),
    );
    node.addEventListener("click", () =>
      attempt(() => (fault ? api.removeFault(fault.fault) : api.addFault(wish.body))),
    );
    return node;
  }

  /** @param {any} fault */
  #otherFault(fault) {
    const remove = el(
      "button",
      { class: "text-button", type: "button", on: { click: () => attempt(() => api.removeFault(fault.fault)) } },
      "Switch off",
    );
    return el("li", null, `${fault.part} ${fault.kind} ${fault.match ?? ""} `, remove);
  }

  /** @param {{name: string, path: string, body: Record<string, any>}} wish */
  async #arm(wish) {
    if (await attempt(() => api.lever(wish.path, wish.body))) toast("Armed", `${wish.name}.`);
  }

  /** Count down what ends by itself, and look again when it has. */
  #tick() {
    let over = false;
    for (const node of /** @type {NodeListOf<HTMLElement>} */ (this.faultRows.querySelectorAll("[data-left]"))) {
      if (!node.dataset.left) continue;
      const left = Math.ceil(Number(node.dataset.left) - (Date.now() - Number(node.dataset.since)) / 1000);
      node.textContent = left > 0 ? `on, ${left} s left` : (node.dataset.words ?? "");
      over ||= left <= 0;
    }
    if (over)
      api
        .faults()
        .then((faults) => this.store.takeFaults(faults))
        .catch(() => undefined);
  }
}

/** @param {string} title @param {...Node} children */
function section(title, ...children) {
  return el("section", { class: "world-section" }, el("h3", null, title), ...children);
}

/** @param {{service: string, environment: string, url: string}} one */
function serviceRow(one) {
  const link = outerLink(one.url);
  link?.append(
    one.url.replace(/^https?:\/\//, ""),
    el("span", { class: "out", "aria-label": "opens in a new tab" }, " ↗"),
  );
  return el(
    "li",
    { class: "service" },
    el("span", null, one.service),
    el("span", { class: "part-kind" }, one.environment),
    link ?? "not up yet",
  );
}

/** @param {Part} part */
function partRow(part) {
  const link = part.url ? outerLink(part.url) : null;
  link?.append(part.url ?? "", el("span", { class: "out", "aria-label": "opens in a new tab" }, " ↗"));
  const health =
    part.kind === "absent"
      ? "off"
      : /\b(start|wait|stopp|given up|down|fail|dead)/i.test(part.detail ?? "")
        ? "wait"
        : "up";
  return el(
    "li",
    { class: `part ${part.kind}` },
    el("span", { class: `dot ${health}`, "aria-hidden": "true" }),
    el("span", { class: "part-name" }, part.name),
    el("span", { class: `part-kind ${part.kind}` }, part.kind),
    part.detail ? el("span", { class: "part-detail", title: part.detail }, part.detail) : null,
    link,
  );
}

/**
 * Do something to the world; what it refuses becomes a notice.
 * @param {() => Promise<any>} act
 * @returns {Promise<any>} null when it was refused
 */
async function attempt(act) {
  try {
    return (await act()) ?? {};
  } catch (error) {
    toast("The world refused", error instanceof Error ? error.message : String(error), { kind: "problem" });
    return null;
  }
}

/**
 * The steps of the guided tour: what each says, when it is done, and how it is done. Nothing here draws or keeps state.
 *
 * @typedef {import("./facts.js").Facts} Facts
 * @typedef {import("./guide.js").Guide} Guide
 *
 * @typedef {object} Task
 * @property {string} text
 * @property {string} hand what the button says that lays it ready for the visitor
 * @property {(facts: Facts) => boolean} done whether the world has reached it
 * @property {(guide: Guide) => any} how lay it ready: the right member, the right place, the line or the button
 * @property {(guide: Guide) => Promise<any>} act do it, and wait until it is done
 *
 * @typedef {object} Step
 * @property {string} key
 * @property {string} title
 * @property {string} text
 * @property {Task[]} tasks in their order
 */

import { cardsThat, unplugged } from "./facts.js";

const PLUG_S = 8;
const dev = { service: "app", environment: "dev" };
const prod = { service: "app", environment: "prod" };

/** @param {Facts} facts */
const toDev = (facts) => cardsThat(facts, { kind: "DEPLOY", environment: "dev" });
/** @param {Facts} facts */
const toProd = (facts) => cardsThat(facts, { kind: "DEPLOY", environment: "prod" });
/** @param {Facts} facts */
const approved = (facts) => toProd(facts).filter((one) => /\bapproved\b/.test(one.text) && one.status !== "waiting");
/** @param {Facts} facts */
const broken = (facts) => toDev(facts).filter((one) => one.status === "failed" && one.text.includes("still serves"));
/** @param {Facts} facts */
const rolledBack = (facts) => cardsThat(facts, { kind: "ROLLBACK", environment: "dev" });
/** @param {Facts} facts */
const underway = (facts) => toDev(facts).filter((one) => !one.ended_s);
/** @param {Facts} facts */
const firing = (facts) => facts.alerts.filter((one) => !one.over);
/** @param {import("./facts.js").Card} one */
const succeeded = (one) => one.status === "succeeded";

/** @type {Step[]} */
export const STEPS = [
  {
    key: "dev",
    title: "Deploy to dev",
    text: "As dev, nobody else has to agree. The bot builds an image, puts it on the host and checks that it serves.",
    tasks: [
      {
        text: "dev runs /deploy app dev main",
        hand: "Lay the command ready",
        done: (facts) => toDev(facts).length > 0,
        how: (guide) => guide.lay("dev", "/deploy app dev main"),
        act: (guide) => guide.ask("dev", "deploy", { ...dev, ref: "main" }),
      },
      {
        text: "the card says that it is live",
        hand: "Show the card",
        done: (facts) => toDev(facts).some(succeeded),
        how: (guide) => guide.showCard(toDev(guide.facts()).at(-1)),
        act: (guide) => guide.until(
            "the deploy to dev",
            () => toDev(guide.facts()).some(succeeded),
            () => toDev(guide.facts()).at(-1),
          ),
      },
    ],
  },
  {
    key: "prod",
    title: "Approve for prod",
    text: "prod needs an sre who is not the one who asks. The yes counts for exactly what the card shows.",
    tasks: [
      {
        text: "dev asks with /deploy app prod main",
        hand: "Lay the command ready",
        done: (facts) => toProd(facts).length > 0,
        how: (guide) => guide.lay("dev", "/deploy app prod main"),
        act: (guide) => guide.ask("dev", "deploy", { ...prod, ref: "main" }),
      },
      {
        text: "sre presses Approve on the card",
        hand: "Become sre, show the card",
        done: (facts) => approved(facts).length > 0,
        how: (guide) => {
          guide.be("sre");
          guide.showCard(toProd(guide.facts()).at(-1), "Approve");
        },
        act: (guide) =>
          guide.insist(
            "the approval",
            () => approved(guide.facts()).length > 0,
            () => toProd(guide.facts()).at(-1),
            async () => {
              const card = toProd(guide.facts()).findLast((one) => one.status === "waiting");
              if (card) await guide.press("sre", card, "Approve");
            },
          ),
      },
      {
        text: "prod serves it",
        hand: "Show the card",
        done: (facts) => approved(facts).some(succeeded),
        how: (guide) => guide.showCard(approved(guide.facts()).at(-1)),
        act: (guide) => guide.until(
            "the deploy to prod",
            () => approved(guide.facts()).some(succeeded),
            () => approved(guide.facts()).at(-1),
          ),
      },
    ],
  },
  {
    key: "break",
    title: "Break a deploy",
    text: "This version ends at its start. It never gets a visitor: the old one serves until the new one is healthy.",
    tasks: [
      {
        text: "a broken version goes to dev, and fails",
        hand: "Push it, lay the command ready",
        done: (facts) => broken(facts).length > 0,
        how: async (guide) => {
          await guide.push("Broken version");
          guide.lay("dev", "/deploy app dev main");
        },
        act: async (guide) => {
          await guide.push("Broken version");
          await guide.ask("dev", "deploy", { ...dev, ref: "main" });
          await guide.until(
            "the failure",
            () => broken(guide.facts()).length > 0,
            () => toDev(guide.facts()).at(-1),
          );
        },
      },
      {
        text: "dev rolls back to an earlier version",
        hand: "Lay the command ready",
        done: (facts) => rolledBack(facts).some(succeeded),
        how: (guide) => guide.lay("dev", "/rollback app dev"),
        act: async (guide) => {
          await guide.ask("dev", "rollback", dev);
          await guide.until(
            "the rollback",
            () => rolledBack(guide.facts()).some(succeeded),
            () => rolledBack(guide.facts()).at(-1),
          );
        },
      },
    ],
  },
  {
    key: "alert",
    title: "Take an alert",
    text: "Something of prod is in trouble. One card tells it, and stays true: who has it, how many fire, when it is over.",
    tasks: [
      {
        text: "an alert comes in",
        hand: "Make it fire, show its channel",
        done: (facts) => facts.alerts.length > 0,
        how: async (guide) => {
          guide.be("sre", guide.rooms.store.channelId("alerts"));
          await guide.trouble(true);
        },
        act: async (guide) => {
          guide.be("sre", guide.rooms.store.channelId("alerts"));
          await guide.trouble(true);
          guide.showCard(await guide.until("the alert", () => firing(guide.facts()).at(-1)));
        },
      },
      {
        text: "sre presses Ack on its card",
        hand: "Become sre, show the card",
        done: (facts) => facts.alerts.some((one) => one.taken),
        how: (guide) => {
          const card = firing(guide.facts()).at(-1);
          if (card) guide.be("sre", guide.rooms.store.placeOf(card.message));
          guide.showCard(card, "Ack");
        },
        act: (guide) =>
          guide.insist(
            "the ack",
            () => guide.facts().alerts.some((one) => one.taken),
            () => undefined,
            async () => {
              const card = firing(guide.facts()).findLast((one) => !one.taken);
              if (card) await guide.press("sre", card, "Ack");
            },
          ),
      },
      {
        text: "the trouble ends, and the card says RESOLVED",
        hand: "End it, show the card",
        done: (facts) => facts.alerts.some((one) => one.taken && one.over),
        how: async (guide) => {
          guide.showCard(guide.facts().alerts.findLast((one) => one.taken));
          await guide.trouble(false);
        },
        act: async (guide) => {
          await guide.trouble(false);
          await guide.until("the end of the alert", () => guide.facts().alerts.some((one) => one.taken && one.over));
        },
      },
    ],
  },
  {
    key: "plug",
    title: "Pull the plug",
    text: "Discord goes away in the middle of a deploy. The work goes on; what people see comes later, and nothing is lost.",
    tasks: [
      {
        text: "a deploy to dev is under way",
        hand: "Push a version, lay the command ready",
        done: (facts) => underway(facts).length > 0,
        how: async (guide) => {
          await guide.push("Good version");
          guide.lay("dev", "/deploy app dev main");
        },
        act: async (guide) => {
          await guide.push("Good version");
          await guide.ask("dev", "deploy", { ...dev, ref: "main" });
        },
      },
      {
        text: "Discord refuses everything meanwhile",
        hand: "Show the switch",
        done: (facts) => unplugged(facts).length > 0,
        how: (guide) => guide.showSwitch("Discord refuses"),
        act: async (guide) => {
          await guide.unplug(PLUG_S);
          await guide.until(
            "a request that Discord refuses",
            () => unplugged(guide.facts()).length > 0,
            () => toDev(guide.facts()).at(-1),
          );
        },
      },
      {
        text: "Discord is back, and the card tells the end",
        hand: "Show the card",
        done: (facts) => unplugged(facts).some(({ card, cut_s }) => succeeded(card) && card.edited_s > cut_s),
        how: (guide) => guide.showCard(unplugged(guide.facts()).at(-1)?.card),
        act: (guide) =>
          guide.until(
            "the end of the deploy",
            () => unplugged(guide.facts()).some(({ card, cut_s }) => succeeded(card) && card.edited_s > cut_s),
            () => unplugged(guide.facts()).at(-1)?.card,
          ),
      },
    ],
  },
];

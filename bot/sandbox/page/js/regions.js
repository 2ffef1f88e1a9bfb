/**
 * The page's regions for people who work with the keyboard: F6 goes to the next one, Shift+F6 to the one before.
 */

import { focusable } from "./dom.js";

/** In reading order: where it is, and what in it gets the focus first. */
const REGIONS = [
  { at: "#sidebar", first: "[aria-current]" },
  { at: "#tour", first: "[data-key='act'], [data-key='how'], [data-key='next'], [data-key='chaos']" },
  { at: "#scroll", first: "" },
  { at: "#composer", first: "input" },
  { at: "#world", first: "button" },
];

/** Listen to the key, for as long as the page lives. */
export function listenToRegions() {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "F6" || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    move(event.shiftKey ? -1 : 1);
  });
}

/** @param {1 | -1} step */
function move(step) {
  const all = REGIONS.flatMap(({ at, first }) => {
    const node = /** @type {HTMLElement | null} */ (document.querySelector(at));
    return node?.checkVisibility({ visibilityProperty: true }) ? [{ node, first }] : [];
  });
  const now = all.findIndex(({ node }) => node.contains(document.activeElement));
  const next = all[(now + step + all.length) % all.length] ?? all[0];
  const inside = focusable(next.node);
  const target = next.first ? (inside.find((one) => one.matches(next.first)) ?? inside[0]) : next.node;
  target?.focus();
}

/**
 * Times as people read them, and the one ticker that keeps the relative ones true.
 */

import { el } from "./dom.js";

const UNITS = /** @type {const} */ ([
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
]);
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const TICK_MS = 1000;

/** @type {Record<string, Intl.DateTimeFormatOptions>} Discord's timestamp styles */
const STYLES = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
};

/** @param {number} unix_s @returns {string} such as "3 minutes ago" */
export function ago(unix_s) {
  const left = unix_s - Date.now() / 1000;
  for (const [unit, seconds] of UNITS)
    if (Math.abs(left) >= seconds) return relative.format(Math.trunc(left / seconds), unit);
  return "now";
}

/**
 * A timestamp in one of Discord's styles; `R` counts along.
 * @param {number} unix_s
 * @param {string} [style]
 * @returns {HTMLTimeElement}
 */
export function timestamp(unix_s, style = "f") {
  const date = new Date(unix_s * 1000);
  if (Number.isNaN(date.getTime())) return el("time", { class: "stamp" }, "unknown time");
  const node = el("time", { class: "stamp", dateTime: date.toISOString(), title: date.toLocaleString("en", STYLES.F) });
  if (style === "R") node.dataset.relative = String(unix_s);
  node.textContent = style === "R" ? ago(unix_s) : date.toLocaleString("en", STYLES[style] ?? STYLES.f);
  return node;
}

/** @param {string} iso @returns {string} the hour and minute */
export function clockTime(iso) {
  return new Date(iso).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false });
}

/** @param {string} iso @returns {string} "Today", "Yesterday" or the date */
export function dayName(iso) {
  const date = new Date(iso);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return "Today";
  return days === 1 ? "Yesterday" : date.toLocaleDateString("en", { dateStyle: "long" });
}

/** Keep every relative time on the page true. */
export function startTicking() {
  setInterval(() => {
    for (const node of document.querySelectorAll("time[data-relative]")) {
      const text = ago(Number(/** @type {HTMLElement} */ (node).dataset.relative));
      if (node.textContent !== text) node.textContent = text;
    }
  }, TICK_MS);
}

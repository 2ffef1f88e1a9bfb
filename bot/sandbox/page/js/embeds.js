/**
 * Classic embeds and plain attachments, for messages without the second version's components.
 */

import { fileCard, picture } from "./components.js";
import { el, outerLink } from "./dom.js";
import { markdown } from "./markdown.js";
import { timestamp } from "./time.js";

/** @typedef {import("./types.js").Raw} Raw */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./components.js").Stage} Stage */

const PICTURE_NAME = /\.(png|jpe?g|gif|webp|svg)$/i;

/**
 * @param {Raw} raw
 * @param {Message} message
 * @param {Stage} stage
 * @returns {HTMLElement}
 */
export function embed(raw, message, stage) {
  const node = el("article", { class: "embed" });
  if (typeof raw.color === "number") node.style.setProperty("--accent", `#${raw.color.toString(16).padStart(6, "0")}`);
  const words = el("div", { class: "embed-words" });
  if (raw.author?.name) words.append(el("div", { class: "embed-author" }, linked(raw.author.name, raw.author.url)));
  if (raw.title)
    words.append(
      el("div", { class: "embed-title" }, raw.url ? linked(raw.title, raw.url) : markdown(raw.title, stage.names)),
    );
  if (raw.description) words.append(el("div", { class: "text" }, markdown(raw.description, stage.names)));
  if (raw.fields?.length)
    words.append(el("div", { class: "fields" }, ...raw.fields.map((/** @type {Raw} */ one) => field(one, stage))));
  node.append(words);
  if (raw.thumbnail?.url) node.append(picture(raw.thumbnail, message, "Thumbnail", "thumbnail"));
  if (raw.image?.url) node.append(picture(raw.image, message, raw.image.description, "embed-image"));
  const foot = footer(raw);
  if (foot) node.append(foot);
  return node;
}

/** @param {Raw} raw @param {Stage} stage */
function field(raw, stage) {
  return el(
    "div",
    { class: raw.inline ? "field inline" : "field" },
    el("div", { class: "field-name" }, markdown(raw.name ?? "", stage.names)),
    el("div", { class: "text" }, markdown(raw.value ?? "", stage.names)),
  );
}

/** @param {string} text @param {string | undefined} url @returns {Node} */
function linked(text, url) {
  const link = url ? outerLink(url) : null;
  if (!link) return document.createTextNode(text);
  link.textContent = text;
  return link;
}

/** @param {Raw} raw */
function footer(raw) {
  if (!raw.footer?.text && !raw.timestamp) return null;
  const node = el("div", { class: "embed-foot" });
  if (raw.footer?.text) node.append(raw.footer.text);
  if (raw.footer?.text && raw.timestamp) node.append(" · ");
  if (raw.timestamp) node.append(timestamp(Date.parse(raw.timestamp) / 1000, "f"));
  return node;
}

/**
 * The message's files that no component or embed shows already.
 * @param {Message} message
 * @returns {HTMLElement | null}
 */
export function attachments(message) {
  const shown = JSON.stringify([message.raw?.components ?? [], message.raw?.embeds ?? []]);
  const rest = (message.raw?.attachments ?? message.attachments ?? []).filter(
    (/** @type {Raw} */ one) => !shown.includes(`attachment://${one.filename}`) && !shown.includes(one.url),
  );
  if (!rest.length) return null;
  const one = (/** @type {Raw} */ file) =>
    PICTURE_NAME.test(file.filename)
      ? picture(file, message, file.description ?? file.filename, "attached")
      : fileCard(file.url, file.filename, file.size);
  return el("div", { class: "attachments" }, ...rest.map(one));
}

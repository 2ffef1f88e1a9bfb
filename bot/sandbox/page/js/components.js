/**
 * A message's components as Discord's API gives them, drawn: rows of buttons and selects, and the second version's
 * containers, sections, texts, galleries and separators. Presses go to the acts.
 *
 * @typedef {import("./types.js").Raw} Raw
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./menu.js").Item} Item
 *
 * @typedef {object} Stage What drawing a message needs.
 * @property {import("./store.js").Store} store
 * @property {import("./acts.js").Acts} acts
 * @property {import("./markdown.js").Names} names
 */

import { avatar, el, outerLink } from "./dom.js";
import { markdown } from "./markdown.js";
import { openMenu } from "./menu.js";

const BUTTON_STYLES = ["", "primary", "secondary", "success", "danger", "link", "primary"];
const SELECT_HINTS = /** @type {Record<number, string>} */ ({
  3: "Make a selection",
  5: "Select a member",
  6: "Select a role",
  7: "Select a member or role",
  8: "Select a channel",
});

const TEXT_CHANNEL = 0;
const THREAD = 11;

/** @typedef {(raw: Raw, message: Message, stage: Stage) => Node | null} Draw */

/** @type {Record<number, Draw>} by Discord's component type */
const DRAW = {
  1: (raw, message, stage) => el("div", { class: "row" }, ...drawAll(raw.components, message, stage)),
  2: button,
  3: select,
  5: select,
  6: select,
  7: select,
  8: select,
  9: (raw, message, stage) =>
    el(
      "div",
      { class: "section" },
      el("div", { class: "section-text" }, ...drawAll(raw.components, message, stage)),
      draw(raw.accessory ?? {}, message, stage),
    ),
  10: (raw, _message, stage) => el("div", { class: "text" }, markdown(String(raw.content ?? ""), stage.names)),
  11: (raw, message) => picture(raw.media, message, raw.description, "thumbnail", raw.spoiler),
  12: (raw, message) =>
    el(
      "div",
      { class: `gallery gallery-${Math.min(4, raw.items?.length ?? 0)}` },
      ...(raw.items ?? []).map((/** @type {Raw} */ one) =>
        picture(one.media, message, one.description, "gallery-item", one.spoiler),
      ),
    ),
  13: (raw, message) => fileCard(address(raw.file, message), raw.name ?? fileName(raw.file?.url ?? ""), raw.size),
  14: (raw) =>
    el("div", {
      class: `separator ${raw.divider === false ? "" : "line"} ${raw.spacing === 2 ? "wide" : ""}`,
      role: raw.divider === false ? null : "separator",
    }),
  17: container,
};

/**
 * @param {Raw[] | undefined} all
 * @param {Message} message
 * @param {Stage} stage
 * @returns {Node[]}
 */
export function drawAll(all, message, stage) {
  return (all ?? []).map((one) => draw(one, message, stage)).filter((one) => one !== null);
}

/** @type {Draw} */
function draw(raw, message, stage) {
  return DRAW[raw.type]?.(raw, message, stage) ?? null;
}

/** @type {Draw} */
function container(raw, message, stage) {
  const node = el("section", { class: "card", "aria-label": "Card" }, ...drawAll(raw.components, message, stage));
  const colour = raw.accent_color;
  if (typeof colour === "number") {
    node.classList.add("accented");
    node.style.setProperty("--accent", `#${colour.toString(16).padStart(6, "0")}`);
  }
  return node;
}

/** @param {Raw | null | undefined} emoji */
export function emojiText(emoji) {
  if (!emoji) return null;
  return el("span", { class: "emoji", "aria-hidden": "true" }, emoji.id ? `:${emoji.name}:` : emoji.name);
}

/** @type {Draw} */
function button(raw, message, stage) {
  const style = BUTTON_STYLES[raw.style] || "secondary";
  if (raw.style === 5) {
    const link = outerLink(String(raw.url ?? ""));
    if (!link || raw.disabled)
      return el("button", { class: "button link", type: "button", disabled: true }, raw.label ?? raw.url);
    link.className = "button link";
    link.append(
      emojiText(raw.emoji) ?? "",
      raw.label ?? raw.url,
      el("span", { class: "out", "aria-label": "opens in a new tab" }, "↗"),
    );
    return link;
  }
  const busy = isBusy(raw, message, stage);
  const node = el("button", {
    class: `button ${style}`,
    type: "button",
    disabled: Boolean(raw.disabled),
    "aria-busy": busy ? "true" : null,
    data: { component: raw.custom_id },
  });
  node.append(
    emojiText(raw.emoji) ?? "",
    raw.label || !raw.emoji ? el("span", { class: "button-label" }, raw.label || "Button") : "",
  );
  if (!raw.label && raw.emoji) node.setAttribute("aria-label", raw.emoji.name ?? "Button");
  node.addEventListener("click", () => !busy && stage.acts.press(message, raw.custom_id));
  return node;
}

/** @param {Raw} raw @param {Message} message @param {Stage} stage */
function isBusy(raw, message, stage) {
  return stage.store.pending.some(
    (one) =>
      one.failed === null &&
      one.message === message.id &&
      one.component === raw.custom_id &&
      one.user === stage.store.acting,
  );
}

/** @type {Draw} */
function select(raw, message, stage) {
  return selectBox(
    raw,
    stage.store,
    (values) => stage.acts.press(message, raw.custom_id, values),
    isBusy(raw, message, stage),
  ).node;
}

/**
 * A select, in a message or in a modal.
 * @param {Raw} raw
 * @param {import("./store.js").Store} store
 * @param {(values: string[]) => void} picked
 * @param {boolean} [busy]
 */
export function selectBox(raw, store, picked, busy = false) {
  const items = selectItems(raw, store);
  const words = el("span", { class: "select-words" });
  const hint = raw.placeholder || SELECT_HINTS[raw.type] || "Select";
  /** In a modal the field's label names it. */
  const name = raw.hint || hint;
  const node = el(
    "button",
    {
      class: "select",
      type: "button",
      "aria-haspopup": "listbox",
      "aria-expanded": "false",
      disabled: Boolean(raw.disabled),
      "aria-busy": busy ? "true" : null,
      data: { component: raw.custom_id },
    },
    words,
    el("span", { class: "caret", "aria-hidden": "true" }),
  );
  const show = (/** @type {string[]} */ values) => {
    const labels = items.filter((one) => values.includes(one.value)).map((one) => one.label);
    for (const item of items) item.selected = values.includes(item.value);
    words.textContent = labels.join(", ") || hint;
    words.classList.toggle("empty", labels.length === 0);
    const said = labels.join(", ") || hint;
    node.setAttribute("aria-label", said === name ? name : `${name}: ${said}`);
  };
  show(items.filter((one) => one.selected).map((one) => one.value));
  const pick = (/** @type {string[]} */ values) => {
    show(values);
    picked(values);
  };
  node.addEventListener(
    "click",
    () =>
      !busy && openMenu({ anchor: node, label: name, items, max: raw.max_values ?? 1, min: raw.min_values ?? 1, pick }),
  );
  return { node, values: () => items.filter((one) => one.selected).map((one) => one.value) };
}

/** @param {Raw} raw @param {import("./store.js").Store} store @returns {Item[]} */
function selectItems(raw, store) {
  const chosen = new Set((raw.default_values ?? []).map((/** @type {Raw} */ one) => String(one.id)));
  const members = () =>
    store.state.members.map((one) => ({
      value: one.id,
      label: one.name,
      description: one.roles.join(", "),
      lead: avatar(one.name, one.bot),
      selected: chosen.has(one.id),
    }));
  const roles = () =>
    (store.state.guild.roles ?? []).map((one) => ({
      value: one.id,
      label: `@${one.name}`,
      selected: chosen.has(one.id),
    }));
  if (raw.type === 5) return members();
  if (raw.type === 6) return roles();
  if (raw.type === 7) return [...members(), ...roles()];
  if (raw.type === 8) return places(raw, store).map((one) => ({ ...one, selected: chosen.has(one.value) }));
  return (raw.options ?? []).map((/** @type {Raw} */ one) => ({
    value: String(one.value),
    label: String(one.label),
    description: one.description,
    lead: emojiText(one.emoji),
    selected: Boolean(one.default),
  }));
}

/** The channels and threads that a select takes. @param {Raw} raw @param {import("./store.js").Store} store @returns {Item[]} */
function places(raw, store) {
  const wanted = (/** @type {number} */ type) => !raw.channel_types?.length || raw.channel_types.includes(type);
  const channels = wanted(TEXT_CHANNEL) ? store.state.channels.map((one) => ({ value: one.id, label: `#${one.name}` })) : [];
  const threads = wanted(THREAD) ? [...store.threads.values()].map((one) => ({ value: one.id, label: one.name })) : [];
  return [...channels, ...threads];
}

/** The address that a media item stands for; `attachment://` names a file of the message. @param {Raw | undefined} media @param {Message} message */
function address(media, message) {
  const url = String(media?.url ?? "");
  if (!url.startsWith("attachment://")) return url;
  const name = url.slice("attachment://".length);
  return (
    (message.raw?.attachments ?? message.attachments ?? []).find((/** @type {Raw} */ one) => one.filename === name)
      ?.url ?? ""
  );
}

/** @param {string} url */
const fileName = (url) => decodeURIComponent(url.split(/[?#]/)[0].split("/").pop() || "file");

/**
 * A picture that opens in a new tab; one that cannot be loaded becomes a line of text.
 * @param {Raw | undefined} media
 * @param {Message} message
 * @param {string | undefined | null} description
 * @param {string} kind
 * @param {boolean} [spoiler]
 */
export function picture(media, message, description, kind, spoiler = false) {
  const url = address(media, message);
  const link = outerLink(url);
  if (!link) return el("div", { class: `${kind} missing` }, "Picture is missing");
  const image = el("img", { src: link.href, alt: description || fileName(url), loading: "lazy" });
  if (media?.width && media?.height) Object.assign(image, { width: media.width, height: media.height });
  image.addEventListener("error", () => link.replaceChildren(`Picture: ${description || fileName(url)}`));
  link.className = `picture ${kind}${spoiler ? " veiled" : ""}`;
  link.append(image);
  return link;
}

/** @param {string} url @param {string} name @param {number | undefined} size */
export function fileCard(url, name, size) {
  const link = outerLink(url) ?? el("span");
  link.className = "file";
  const bytes = typeof size === "number" ? el("span", { class: "file-size" }, sizeText(size)) : null;
  link.append(
    el("span", { class: "file-icon", "aria-hidden": "true" }, "▤"),
    el("span", { class: "file-name" }, name),
    bytes ?? "",
  );
  return link;
}

/** @param {number} bytes */
function sizeText(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

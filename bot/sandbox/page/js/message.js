/**
 * One message, drawn: who sent it and when, what it answers, its content, and what is said below it.
 */

import { attachments, embed } from "./embeds.js";
import { drawAll } from "./components.js";
import { avatar, el } from "./dom.js";
import { markdown } from "./markdown.js";
import { openMenu } from "./menu.js";
import { clockTime } from "./time.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./components.js").Stage} Stage */

const GROUP_MS = 7 * 60 * 1000;
const LOADING = 128;
const PIN_NOTICE = 6;

/** @param {Message} message @returns {string} */
export const authorOf = (message) =>
  typeof message.author === "string"
    ? message.author
    : (message.author?.name ?? message.raw?.author?.username ?? "unknown");

/** @param {Message} message @returns {boolean} */
const isBot = (message) => Boolean(message.raw?.author?.bot ?? message.author?.bot);

/**
 * @param {Message} message
 * @param {Message | undefined} before the message above, when this one may join it
 * @param {Stage} stage
 * @returns {HTMLLIElement}
 */
export function drawMessage(message, before, stage) {
  const follows = before !== undefined && !usedBy(message) && joins(message, before);
  const classes = [
    "message",
    follows ? "follows" : "",
    message.ephemeral ? "ephemeral" : "",
    stage.store.pingsMe(message) ? "pinged" : "",
  ]
    .filter(Boolean)
    .join(" ");
  const author = authorOf(message);
  return el(
    "li",
    {
      class: classes,
      data: { id: message.id },
      tabIndex: -1,
      "aria-label": `${author}, ${clockTime(message.created_at)}`,
    },
    follows ? null : origin(message, stage),
    el("div", { class: "gutter" }, follows ? stamp(message) : avatar(author, isBot(message))),
    el(
      "div",
      { class: "body" },
      follows
        ? null
        : el(
            "div",
            { class: "byline" },
            el("span", { class: "author" }, author),
            isBot(message) ? el("span", { class: "badge" }, "APP") : null,
            stamp(message),
            message.raw?.pinned ? el("span", { class: "pin" }, "pinned") : null,
          ),
      ...content(message, stage),
    ),
    tools(message, stage),
  );
}

/** @param {Message} message @param {Stage} stage */
function origin(message, stage) {
  const used = usedBy(message);
  if (used)
    return el(
      "div",
      { class: "origin" },
      avatar(used.who),
      el("span", { class: "origin-who" }, used.who),
      " used ",
      el("span", { class: "mention" }, `/${used.command}`),
    );
  const parent = message.raw?.referenced_message;
  if (!parent) return null;
  return el(
    "div",
    { class: "origin" },
    el("span", { class: "origin-who" }, parent.author?.username ?? "somebody"),
    ` ${String(parent.content ?? "").slice(0, 100) || "a message"}`,
  );
}

/** @param {Message} message @returns {(Node | null)[]} @param {Stage} stage */
function content(message, stage) {
  const { raw } = message;
  if ((raw?.flags ?? 0) & LOADING)
    return [
      el(
        "div",
        { class: "thinking" },
        el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
        `${authorOf(message)} is thinking…`,
      ),
      ephemeralFoot(message, stage),
    ];
  const content = raw?.content ?? message.content;
  return [
    raw?.type === PIN_NOTICE ? el("div", { class: "text" }, "pinned a message to this channel.") : null,
    content ? el("div", { class: "text" }, markdown(content, stage.names), edited(message)) : null,
    ...(raw?.embeds ?? message.embeds ?? []).map((/** @type {import("./types.js").Raw} */ one) =>
      embed(one, message, stage),
    ),
    attachments(message),
    raw?.components?.length ? el("div", { class: "components" }, ...drawAll(raw.components, message, stage)) : null,
    content ? null : edited(message),
    threadLink(message, stage),
    failure(message, stage),
    ephemeralFoot(message, stage),
  ];
}

/** @param {Message} message @param {Stage} stage */
function threadLink(message, stage) {
  const thread = message.raw?.thread;
  if (!thread?.id) return null;
  return el(
    "button",
    { class: "thread-link", type: "button", on: { click: () => stage.store.show(String(thread.id)) } },
    el("strong", null, thread.name ?? "Thread"),
    el("span", null, "Open thread ›"),
  );
}

/** @param {Message} message @param {Stage} stage */
function failure(message, stage) {
  const failed = stage.store.pending.find(
    (one) => one.failed && one.message === message.id && one.user === stage.store.acting,
  );
  return failed ? el("div", { class: "failure", role: "alert" }, failed.failed) : null;
}

/** @param {Message} message @param {Stage} stage */
function ephemeralFoot(message, stage) {
  if (!message.ephemeral) return null;
  const dismiss = el(
    "button",
    { class: "text-button", type: "button", on: { click: () => stage.store.dismiss(message.id) } },
    "Dismiss message",
  );
  return el("div", { class: "only-you" }, "Only you can see this · ", dismiss);
}

/** @param {Message} message @param {Stage} stage */
function tools(message, stage) {
  const button = el(
    "button",
    {
      class: "more",
      type: "button",
      "aria-label": "More for this message",
      "aria-haspopup": "listbox",
      "aria-expanded": "false",
    },
    "⋯",
  );
  button.addEventListener("click", () => {
    const commands = stage.store.state.commands.filter((one) => one.type === 3);
    const items = [
      { value: "text", label: "Copy text" },
      { value: "id", label: "Copy message id", description: message.id },
      ...commands.map((one) => ({ value: `run ${one.name}`, label: one.name, description: "Run on this message" })),
    ];
    openMenu({
      anchor: button,
      label: "More for this message",
      items,
      pick: ([value]) => tool(value, message, stage),
    });
  });
  return button;
}

/** @param {string} value @param {Message} message @param {Stage} stage */
function tool(value, message, stage) {
  if (value.startsWith("run ")) stage.acts.onMessage(value.slice(4), message);
  else navigator.clipboard?.writeText(value === "id" ? message.id : message.text).catch(() => undefined);
}

/** @param {import("./store.js").Pending} one @param {Stage} stage */
export function drawPending(one, stage) {
  const state = one.failed
    ? el("div", { class: "failure", role: "alert" }, one.failed)
    : el(
        "div",
        { class: "thinking" },
        el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
        "Sending command…",
      );
  const dismiss = el(
    "button",
    { class: "text-button", type: "button", on: { click: () => stage.store.settle(one, null) } },
    "Dismiss message",
  );
  return el(
    "li",
    { class: `message pending ${one.failed ? "ephemeral" : ""}` },
    el(
      "div",
      { class: "origin" },
      avatar(one.user),
      el("span", { class: "origin-who" }, one.user),
      " used ",
      el("span", { class: "mention" }, one.label),
    ),
    el("div", { class: "gutter" }, avatar("Quarterdeck", true)),
    el(
      "div",
      { class: "body" },
      el(
        "div",
        { class: "byline" },
        el("span", { class: "author" }, "Quarterdeck"),
        el("span", { class: "badge" }, "APP"),
      ),
      state,
      one.failed ? el("div", { class: "only-you" }, "Only you can see this · ", dismiss) : null,
    ),
  );
}

/** @param {Message} message @param {Message} before */
function joins(message, before) {
  const close = Date.parse(message.created_at) - Date.parse(before.created_at) < GROUP_MS;
  return close && authorOf(message) === authorOf(before) && Boolean(message.ephemeral) === Boolean(before.ephemeral);
}

/** Who asked for this answer, and by which command. @param {Message} message */
function usedBy(message) {
  const meta = message.raw?.interaction_metadata;
  // Only the first answer to a command says so; answers to presses and follow-ups stand for themselves.
  if (!meta?.user || !meta.name || meta.original_response_message_id) return null;
  return { who: String(meta.user.username), command: String(meta.name) };
}

/** @param {Message} message */
function stamp(message) {
  const date = new Date(message.created_at);
  return el(
    "time",
    {
      class: "when",
      dateTime: message.created_at,
      title: date.toLocaleString("en", { dateStyle: "full", timeStyle: "medium" }),
    },
    clockTime(message.created_at),
  );
}

/** @param {Message} message */
function edited(message) {
  if (!message.edited_at) return null;
  return el(
    "span",
    {
      class: "edited",
      title: new Date(message.edited_at).toLocaleString("en", { dateStyle: "full", timeStyle: "medium" }),
    },
    "(edited)",
  );
}

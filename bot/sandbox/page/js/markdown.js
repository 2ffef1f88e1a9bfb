/**
 * Discord's markdown, the part of it that chat messages use, straight to DOM nodes.
 * It never builds markup as text; what it does not know stays plain text.
 */

import { el, outerLink } from "./dom.js";
import { timestamp } from "./time.js";

/**
 * Who and what a mention names.
 * @typedef {object} Names
 * @property {(id: string) => string | undefined} member
 * @property {(id: string) => {name: string, color?: number} | undefined} role
 * @property {(id: string) => string | undefined} channel
 * @property {(id: string) => void} openChannel
 * @property {(channel: string, message: string) => void} openMessage
 */

const DEPTH_LIMIT = 12;

/**
 * @param {string} text
 * @param {Names} names
 * @returns {DocumentFragment}
 */
export function markdown(text, names) {
  const fragment = document.createDocumentFragment();
  blocks(fragment, text.replaceAll("\r\n", "\n"), names, 0);
  return fragment;
}

/** @typedef {{pattern: RegExp, build: (match: RegExpExecArray, names: Names, depth: number) => Node | null}} Rule */

/** @type {Rule[]} what stands inside a line; the first rule that matches at a place wins */
const INLINE = [
  { pattern: /\\([^\p{L}\p{N}\s])/uy, build: (m) => document.createTextNode(m[1]) },
  { pattern: /(`{1,2})([^`](?:.*?[^`])?)\1(?!`)/sy, build: (m) => el("code", { class: "code" }, m[2].trim() || m[2]) },
  { pattern: /<t:(-?\d{1,13})(?::([tTdDfFR]))?>/y, build: (m) => timestamp(Number(m[1]), m[2]) },
  { pattern: /<@!?(\d+)>/y, build: (m, names) => mention(`@${names.member(m[1]) ?? "unknown member"}`) },
  { pattern: /<@&(\d+)>/y, build: (m, names) => roleMention(m[1], names) },
  { pattern: /<#(\d+)>/y, build: (m, names) => channelMention(m[1], names) },
  { pattern: /@(everyone|here)\b/y, build: (m) => mention(m[0]) },
  { pattern: /<\/([^:>]{1,100}):\d+>/y, build: (m) => mention(`/${m[1]}`) },
  { pattern: /<a?:(\w{2,32}):\d+>/y, build: (m) => document.createTextNode(`:${m[1]}:`) },
  {
    pattern: /\[((?:[^\[\]\\]|\\.)+)\]\(<?(https?:\/\/[^\s)>]+)>?(?:\s+"[^"]*")?\)/y,
    build: (m, names, depth) => link(m[2], m[1], names, depth),
  },
  { pattern: /<(https?:\/\/[^\s>]+)>/y, build: (m, names, depth) => link(m[1], null, names, depth) },
  {
    pattern: /https?:\/\/[^\s<>"']*[^\s<>"'.,:;!?)\]}*_~|`]/y,
    build: (m, names, depth) => link(m[0], null, names, depth),
  },
  {
    pattern: /\*\*\*(?=\S)(.+?)\*\*\*(?!\*)/sy,
    build: (m, names, depth) => el("strong", null, wrap("em", m[1], names, depth)),
  },
  { pattern: /\*\*(?=\S)(.+?)\*\*(?!\*)/sy, build: (m, names, depth) => wrap("strong", m[1], names, depth) },
  { pattern: /__(?=\S)(.+?)__(?!_)/sy, build: (m, names, depth) => wrap("u", m[1], names, depth) },
  { pattern: /\*(?=[^\s*])(.+?)(?<=[^\s*])\*(?!\*)/sy, build: (m, names, depth) => wrap("em", m[1], names, depth) },
  {
    pattern: /(?<![\p{L}\p{N}])_(?=[^\s_])(.+?)(?<=[^\s_])_(?![\p{L}\p{N}_])/suy,
    build: (m, names, depth) => wrap("em", m[1], names, depth),
  },
  { pattern: /~~(?=\S)(.+?)~~/sy, build: (m, names, depth) => wrap("s", m[1], names, depth) },
  { pattern: /\|\|(?=\S)(.+?)\|\|/sy, build: (m, names, depth) => spoiler(m[1], names, depth) },
];

/**
 * @param {Node} parent
 * @param {string} text
 * @param {Names} names
 * @param {number} depth
 */
function inline(parent, text, names, depth) {
  let plain = "";
  const flush = () => {
    if (plain) parent.appendChild(document.createTextNode(plain));
    plain = "";
  };
  for (let at = 0; at < text.length;) {
    const found = depth < DEPTH_LIMIT && "\\`<@[*_~|h".includes(text[at]) ? firstMatch(text, at, names, depth) : null;
    if (found) {
      flush();
      parent.appendChild(found.node);
      at += found.length;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  flush();
}

/** @param {string} text @param {number} at @param {Names} names @param {number} depth */
function firstMatch(text, at, names, depth) {
  for (const { pattern, build } of INLINE) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    const node = match && build(match, names, depth + 1);
    if (match && node) return { node, length: match[0].length };
  }
  return null;
}

/** @param {"strong" | "em" | "u" | "s"} tag @param {string} text @param {Names} names @param {number} depth */
function wrap(tag, text, names, depth) {
  const node = el(tag);
  inline(node, text, names, depth);
  return node;
}

/** @param {string} label */
const mention = (label) => el("span", { class: "mention" }, label);

/** @param {string} id @param {Names} names */
function roleMention(id, names) {
  const role = names.role(id);
  const node = mention(`@${role?.name ?? "unknown role"}`);
  if (role?.color) node.style.setProperty("--role", `#${role.color.toString(16).padStart(6, "0")}`);
  return node;
}

/** @param {string} id @param {Names} names */
function channelMention(id, names) {
  const name = names.channel(id);
  if (!name) return mention("#unknown");
  return el("button", { class: "mention", type: "button", on: { click: () => names.openChannel(id) } }, `#${name}`);
}

const MESSAGE_LINK = /^https:\/\/(?:\w+\.)?discord\.com\/channels\/\d+\/(\d+)(?:\/(\d+))?$/;

/** @param {string} address @param {string | null} label @param {Names} names @param {number} depth */
function link(address, label, names, depth) {
  const inside = MESSAGE_LINK.exec(address);
  if (inside && names.channel(inside[1])) return messageLink(inside, label, names, depth);
  const node = outerLink(address);
  if (node && label === null) node.textContent = address;
  else if (node) inline(node, label ?? "", names, depth);
  return node;
}

/** @param {RegExpExecArray} parts @param {string | null} label @param {Names} names @param {number} depth */
function messageLink(parts, label, names, depth) {
  const [, channel, message] = parts;
  const open = () => (message ? names.openMessage(channel, message) : names.openChannel(channel));
  const node = el("button", { class: "mention", type: "button", on: { click: open } });
  if (label === null) node.textContent = `#${names.channel(channel)}${message ? " › message" : ""}`;
  else inline(node, label, names, depth);
  return node;
}

/** @param {string} text @param {Names} names @param {number} depth */
function spoiler(text, names, depth) {
  const hidden = el("span", { class: "spoiler-text" });
  inline(hidden, text, names, depth);
  const node = el("button", { class: "spoiler", type: "button", "aria-label": "Spoiler, press to read" }, hidden);
  node.addEventListener("click", () => {
    node.classList.add("open");
    node.removeAttribute("aria-label");
  });
  return node;
}

/** @typedef {{pattern: RegExp, build: (match: RegExpExecArray, names: Names, depth: number) => Node}} Block */

/** @type {Block[]} what takes whole lines; each pattern is tried at the start of a line */
const BLOCKS = [
  {
    pattern: /```(?:([\w+-]{1,20})\n)?\n?(.*?)\n?```[ ]*(?:\n|$)/sy,
    build: (m) => el("pre", { class: "fence", tabIndex: 0 }, el("code", null, m[2])),
  },
  { pattern: />>> (.*)$/sy, build: (m, names, depth) => quote(m[1], names, depth) },
  {
    pattern: /(?:> ?[^\n]*(?:\n(?=>)|\n|$))+/y,
    build: (m, names, depth) => quote(m[0].replace(/^> ?/gm, "").replace(/\n$/, ""), names, depth),
  },
  {
    pattern: /(#{1,3}) +([^\n]+?)[ #]*(?:\n|$)/y,
    build: (m, names, depth) => line("h", m[2], names, depth, m[1].length),
  },
  { pattern: /-# +([^\n]+)(?:\n|$)/y, build: (m, names, depth) => line("sub", m[1], names, depth, 0) },
  {
    pattern: /(?:[ \t]*[-*] +[^\n]+(?:\n|$))+|(?:[ \t]*\d{1,4}\. +[^\n]+(?:\n|$))+/y,
    build: (m, names, depth) => list(m[0], names, depth),
  },
];

/** @param {Node} parent @param {string} text @param {Names} names @param {number} depth */
function blocks(parent, text, names, depth) {
  let run = "";
  const flush = () => {
    const lines = run.replace(/\n$/, "");
    if (lines) {
      const node = el("div", { class: "para" });
      inline(node, lines, names, depth);
      parent.appendChild(node);
    }
    run = "";
  };
  for (let at = 0; at < text.length;) {
    const found = depth < DEPTH_LIMIT ? blockAt(text, at, names, depth) : null;
    if (found) {
      flush();
      parent.appendChild(found.node);
      at += found.length;
      continue;
    }
    const end = text.indexOf("\n", at);
    const next = end < 0 ? text.length : end + 1;
    run += text.slice(at, next);
    at = next;
  }
  flush();
}

/** @param {string} text @param {number} at @param {Names} names @param {number} depth */
function blockAt(text, at, names, depth) {
  for (const { pattern, build } of BLOCKS) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match && match[0]) return { node: build(match, names, depth + 1), length: match[0].length };
  }
  return null;
}

/** @param {string} text @param {Names} names @param {number} depth */
function quote(text, names, depth) {
  const node = el("blockquote");
  blocks(node, text, names, depth);
  return node;
}

/** @param {"h" | "sub"} kind @param {string} text @param {Names} names @param {number} depth @param {number} level */
function line(kind, text, names, depth, level) {
  const node =
    kind === "sub"
      ? el("small", { class: "subtext" })
      : el("div", { class: `heading heading-${level}`, role: "heading", "aria-level": level + 2 });
  inline(node, text, names, depth);
  return node;
}

/** @param {string} text @param {Names} names @param {number} depth */
function list(text, names, depth) {
  const first = /^[ \t]*(\d+)\./.exec(text);
  const node = first ? el("ol", { class: "list", start: Number(first[1]) }) : el("ul", { class: "list" });
  for (const row of text.split("\n").filter((one) => one.trim())) {
    const item = el("li", { class: /^[ \t]{2,}/.test(row) ? "nested" : "" });
    inline(item, row.replace(/^[ \t]*(?:[-*]|\d+\.) +/, ""), names, depth);
    node.appendChild(item);
  }
  return node;
}

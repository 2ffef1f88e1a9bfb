/**
 * Building DOM nodes. Foreign text only ever becomes a text node or a property, never markup.
 */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any> | null} [props] `class`, `on` ({event: listener}), `data`, and properties or attributes by name
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "on")
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name in node && !name.includes("-") && name !== "role" && name !== "list")
      /** @type {any} */ (node)[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

/**
 * @param {Node} node
 * @param {(Node | string | null | undefined | false)[]} children
 */
export function append(node, children) {
  for (const child of children)
    if (child !== null && child !== undefined && child !== false)
      node.appendChild(typeof child === "string" ? document.createTextNode(child) : child);
}

/**
 * Put these children in place of whatever the node held.
 * @param {Element} node
 * @param {...(Node | string | null | undefined | false)} children
 */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
}

/**
 * The element with this id, which index.html promises.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`index.html has no #${id}`);
  return node;
}

/**
 * A link that leaves the page, or null when the address is not plain http(s).
 * @param {string} address
 * @returns {HTMLAnchorElement | null}
 */
export function outerLink(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  return el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow", class: "link" });
}

/** @param {Element} node @returns {HTMLElement[]} what the Tab key can reach inside */
export function focusable(node) {
  const all = node.querySelectorAll(
    "a[href], button:not([disabled]), input:not([disabled]), textarea, select, [tabindex='0']",
  );
  return /** @type {HTMLElement[]} */ ([...all]).filter((one) => one.offsetParent !== null);
}

const TINTS = 8;

/**
 * A coloured circle with initials; the colour follows from the name.
 * @param {string} name
 * @param {boolean} [bot]
 * @returns {HTMLElement}
 */
export function avatar(name, bot = false) {
  if (bot) return el("img", { class: "avatar", src: "mark.svg", alt: "", width: 40, height: 40 });
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973;
  const letters = name.replace(/[^\p{L}\p{N}]/gu, "");
  const number = /\d+$/.exec(letters)?.[0];
  const initials = (number ? letters[0] + number : letters.slice(0, 2)).slice(0, 2).toUpperCase() || "?";
  return el("span", { class: `avatar tint-${sum % TINTS}`, "aria-hidden": "true" }, initials);
}

/**
 * The grammar of a command line: which commands there are, and what a typed line says. Pure, no DOM.
 *
 * @typedef {import("./types.js").Command} Command
 * @typedef {import("./types.js").Option} Option
 * @typedef {{path: string, description: string, options: Option[]}} Runnable A command as it is run: subcommands have a path of two or three words.
 */

const SUBCOMMAND = 1;
const GROUP = 2;

/**
 * Every command that can be run, subcommands by their whole path, sorted.
 * @param {Command[]} commands
 * @returns {Runnable[]}
 */
export function runnables(commands) {
  const slash = commands.filter((one) => (one.type ?? 1) === 1);
  return slash.flatMap((one) => unfold(one, "")).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** @param {{name: string, description: string, options?: Option[]}} node @param {string} above @returns {Runnable[]} */
function unfold(node, above) {
  const path = `${above} ${node.name}`.trim();
  const inner = (node.options ?? []).filter((one) => one.type === SUBCOMMAND || one.type === GROUP);
  if (inner.length) return inner.flatMap((one) => unfold(one, path));
  return [{ path, description: node.description, options: node.options ?? [] }];
}

/**
 * The commands that a typed beginning may mean, best first.
 * @param {Runnable[]} all
 * @param {string} typed without the slash
 */
export function matching(all, typed) {
  const wanted = typed.trim().toLowerCase();
  const rank = (/** @type {Runnable} */ one) => (one.path.startsWith(wanted) ? 0 : one.path.includes(wanted) ? 1 : 2);
  return all.filter((one) => rank(one) < 2).sort((a, b) => rank(a) - rank(b));
}

/**
 * What a whole typed line says: the longest command that it begins with, and values by `name:value` or by position.
 * @param {Runnable[]} all
 * @param {string} line such as `/deploy service:app environment:prod ref:main` or `/deploy app dev main`
 * @returns {{command: Runnable, values: Record<string, string>} | null}
 */
export function parse(all, line) {
  const text = line.replace(/^\//, "").trimStart();
  const fits = all.filter((one) => text === one.path || text.startsWith(`${one.path} `));
  const command = fits.sort((a, b) => b.path.length - a.path.length)[0];
  if (!command) return null;
  return { command, values: valuesOf(command.options, text.slice(command.path.length).trim()) };
}

/** @param {Option[]} options @param {string} text */
function valuesOf(options, text) {
  /** @type {Record<string, string>} */
  const values = {};
  const free = [...options];
  let open = "";
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const [, name, rest] = /^([\p{L}\p{N}_-]+):(.*)$/su.exec(word) ?? [];
    if (name && options.some((one) => one.name === name)) {
      open = name;
      values[name] = rest;
    } else if (open) values[open] = `${values[open]} ${word}`.trim();
    else {
      const next = free.find((one) => !(one.name in values));
      if (next) values[next.name] = word;
    }
  }
  return values;
}

/**
 * The value to send for what was typed: numbers as numbers, truth as truth.
 * @param {Option} option
 * @param {string | number} typed
 * @returns {string | number | boolean}
 */
export function valueOf(option, typed) {
  const text = String(typed).trim();
  const choice = option.choices?.find(
    (one) => one.name.toLowerCase() === text.toLowerCase() || String(one.value) === text,
  );
  if (choice) return choice.value;
  if ((option.type === 4 || option.type === 10) && text !== "" && Number.isFinite(Number(text))) return Number(text);
  if (option.type === 5) return /^(true|yes|on)$/i.test(text);
  return text;
}

/**
 * What has happened in the world, read from the cards and the requests that the control API gives. Pure, no DOM: the
 * guided tour asks here whether a step was really reached.
 */

/** @typedef {import("./types.js").Message} Message */

/**
 * @typedef {object} Card One operation as its card tells it.
 * @property {string} kind `DEPLOY`, `ROLLBACK`
 * @property {string} status
 * @property {string} service
 * @property {string} environment
 * @property {string} text
 * @property {Message} message
 * @property {number} created_s
 * @property {number} edited_s 0: never
 * @property {number} ended_s 0: not yet
 *
 * @typedef {object} Alert One group of alerts as its card tells it.
 * @property {boolean} taken whether somebody has it, or had it when it ended
 * @property {boolean} over
 * @property {Message} message
 * @property {number} told_s when the card was written last
 *
 * @typedef {object} Facts
 * @property {Card[]} cards oldest first
 * @property {number[]} cuts when Discord refused a request
 * @property {Alert[]} alerts
 */

const HEADLINE = /^\*\*([A-Z]+) ([^*]+)\*\* · #\d+\n(\S+) > (\S+)/;
const ENDED = /\bended <t:(\d+)/;
const ALERT = /\[\d+ firing \/ \d+\]|\bRESOLVED\b/;
const TAKEN = /^(?!\*\*nobody )\*\*[^*\n]+ has it\*\*|^over .* · (?!nobody had it$).+ had it$/m;

/** @param {Message} message @returns {Card | null} null when the message is no operation's card */
export function cardOf(message) {
  const found = message.ephemeral ? null : HEADLINE.exec(message.text);
  if (!found) return null;
  const [, kind, status, service, environment] = found;
  return {
    ...{ kind, status, service, environment, text: message.text, message },
    created_s: Date.parse(message.created_at) / 1000,
    edited_s: editedAt(message),
    ended_s: Number(ENDED.exec(message.text)?.[1] ?? 0),
  };
}

/** @param {Message} message @returns {Alert | null} null when the message is no card of alerts */
export function alertOf(message) {
  if (message.ephemeral || !ALERT.test(message.text)) return null;
  const told_s = editedAt(message) || Date.parse(message.created_at) / 1000;
  return { taken: TAKEN.test(message.text), over: /\bRESOLVED\b/.test(message.text), message, told_s };
}

/** @param {Message} message @returns {number} 0: never */
const editedAt = (message) => (message.edited_at ? Date.parse(message.edited_at) / 1000 : 0);

/**
 * @param {Facts} facts
 * @param {Partial<Card>} wanted
 * @returns {Card[]} the cards that are so, oldest first
 */
export const cardsThat = (facts, wanted) =>
  facts.cards.filter((one) => Object.entries(wanted).every(([key, value]) => one[/** @type {keyof Card} */ (key)] === value));

/**
 * The operations that went on while Discord could not be reached.
 * @param {Facts} facts
 * @returns {{card: Card, cut_s: number}[]}
 */
export function unplugged(facts) {
  return facts.cards.flatMap((card) => {
    const over_s = card.ended_s ? card.ended_s + 1 : Infinity;
    const during = facts.cuts.filter((at_s) => card.created_s < at_s && at_s <= over_s);
    return during.length ? [{ card, cut_s: Math.max(...during) }] : [];
  });
}

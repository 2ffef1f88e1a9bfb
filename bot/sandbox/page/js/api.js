/**
 * The control API, and nothing else: every request that this page sends goes through here.
 */

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Interaction} Interaction */
/** @typedef {import("./types.js").Exchange} Exchange */

export const ROOT = "/control/v1";

/** What the world answered instead of doing it: a sentence for people. */
export class Refused extends Error {
  /** @param {string} sentence @param {number} status */
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>}
 */
async function send(method, path, body) {
  let response;
  try {
    response = await fetch(ROOT + path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new Refused("The world does not answer. Is the demo still running?", 0);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok)
    throw new Refused(answer.error || answer.message || `The world answered ${response.status}.`, response.status);
  return answer;
}

/** @returns {Promise<State>} */
export const state = () => send("GET", "/state");

/**
 * @param {{channel: string, user: string, after?: string, limit?: number}} query
 * @returns {Promise<Message[]>} oldest first
 */
export async function messages({ channel, user, after, limit = 100 }) {
  const query = new URLSearchParams({ channel, user, limit: String(limit) });
  if (after) query.set("after", after);
  return (await send("GET", `/messages?${query}`)).messages;
}

/** @param {{limit: number}} query @returns {Promise<Exchange[]>} the newest, oldest first */
export const requests = async ({ limit }) => (await send("GET", `/requests?limit=${limit}`)).requests;

/** @returns {Promise<import("./types.js").Chaos>} */
export const chaos = () => send("GET", "/chaos");

/** @returns {Promise<import("./types.js").Monitoring>} */
export const monitoring = () => send("GET", "/monitoring");

/** @param {string} id @returns {Promise<Interaction>} */
export const interaction = (id) => send("GET", `/interactions/${encodeURIComponent(id)}`);

/** @param {object} body @returns {Promise<string>} the interaction's id */
export const command = async (body) => (await send("POST", "/commands", body)).interaction;

/** @param {object} body @returns {Promise<string>} */
export const autocomplete = async (body) => (await send("POST", "/autocomplete", body)).interaction;

/** @param {object} body @returns {Promise<string>} */
export const component = async (body) => (await send("POST", "/components", body)).interaction;

/** @param {object} body @returns {Promise<string>} */
export const modal = async (body) => (await send("POST", "/modals", body)).interaction;

/** @returns {Promise<any[]>} the faults that are switched on */
export const faults = async () => (await send("GET", "/faults")).faults ?? [];

/** @param {object} body @returns {Promise<any>} */
export const addFault = (body) => send("POST", "/faults", body);

/** @param {number | string} id */
export const removeFault = (id) => send("DELETE", `/faults/${id}`);

/**
 * Pull a lever of the world.
 * @param {string} path such as `/bot`
 * @param {object} body
 * @returns {Promise<any>}
 */
export const lever = (path, body) => send("POST", path, body);

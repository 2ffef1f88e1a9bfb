/**
 * The shapes that the control API gives: types for the editor and the checker, no code.
 *
 * @typedef {{id: string, name: string, parent?: string, topic?: string, archived?: boolean}} Channel
 * @typedef {{id: string, name: string, roles: string[], bot?: boolean}} Member
 * @typedef {{name: string, value: string | number}} Choice
 *
 * @typedef {object} Option
 * @property {string} name
 * @property {string} description
 * @property {number} type Discord's option type: 1 subcommand, 2 group, 3 string, 4 integer, 5 boolean, 6 user, ...
 * @property {boolean} [required]
 * @property {boolean} [autocomplete]
 * @property {Choice[]} [choices]
 * @property {Option[]} [options]
 * @property {number} [min_value]
 * @property {number} [max_value]
 *
 * @typedef {object} Command
 * @property {string} name
 * @property {string} description
 * @property {number} [type] 1 slash command, 2 on a member, 3 on a message
 * @property {string[]} [visible_to] the members whose picker shows it; all when it is missing
 * @property {Option[]} [options]
 *
 * @typedef {{name: string, kind: string, url?: string | null, detail?: string | null, pid?: number | null}} Part
 *
 * @typedef {object} State
 * @property {boolean} ready
 * @property {{id: string, name: string, roles?: {id: string, name: string, color?: number}[], bot?: {id: string, name: string}, elsewhere?: string}} guild
 * @property {Channel[]} channels
 * @property {Member[]} members
 * @property {Channel[]} [threads]
 * @property {Command[]} commands
 * @property {Part[]} parts
 * @property {{service: string, environment: string, url: string}[]} [services]
 * @property {{speed: number}} [world]
 *
 * A node of Discord's own component tree, or of an embed: a JSON object whose keys depend on its type.
 * @typedef {Record<string, any>} Raw
 *
 * @typedef {object} Message
 * @property {string} id
 * @property {string} channel
 * @property {string | null} [thread]
 * @property {any} author
 * @property {boolean | string} ephemeral
 * @property {string} created_at
 * @property {string | null} edited_at
 * @property {string} text
 * @property {string} content
 * @property {Raw[]} embeds
 * @property {Raw[]} components
 * @property {{filename: string, url: string, size: number}[]} attachments
 * @property {{users: string[], roles: string[], everyone: boolean}} [pings]
 * @property {Raw} [raw] the message as Discord's own API gives it
 * @property {string} [user] whom an ephemeral message belongs to
 *
 * @typedef {object} ModalField
 * @property {string} kind
 * @property {string} label
 * @property {string} custom_id
 * @property {boolean} [required]
 * @property {Raw[]} [options]
 * @property {string} [description]
 * @property {string} [placeholder]
 * @property {string} [value]
 * @property {number} [style] 1 one line, 2 a paragraph
 * @property {number} [min_length]
 * @property {number} [max_length]
 * @property {number} [min_values]
 * @property {number} [max_values]
 * @property {boolean} [default]
 * @property {number[]} [channel_types]
 *
 * @typedef {object} Interaction
 * @property {string} id
 * @property {"sent" | "deferred" | "answered" | "modal" | "choices" | "timeout"} state
 * @property {string | null} [message]
 * @property {string} [text]
 * @property {boolean} [ephemeral]
 * @property {{custom_id: string, title: string, fields: ModalField[]} | null} [modal]
 * @property {Choice[] | null} [choices]
 *
 * @typedef {object} Exchange One request that a part of the world answered.
 * @property {number} n
 * @property {string} part
 * @property {number} at
 * @property {string} method
 * @property {string} path
 * @property {string} action
 * @property {number} status
 * @property {number} ms
 * @property {string} caller
 * @property {string} fault the kind of the fault that it met; empty: none
 */
/**
 * @typedef {object} Monitoring What measures this world, what was moved in it, and the payloads that can be posted.
 * @property {boolean} present
 * @property {Record<string, string[]>} servers by name: how each of its processes is
 * @property {Record<string, {burn_cpu: string | null, fill_memory: string | null, fill_disk: Record<string, string>, stop_app: boolean}>} hosts
 * @property {boolean} watchdog_off
 * @property {string[]} fixtures
 */
/**
 * @typedef {object} Chaos What the chaos switch does, and what it cost: counted by the world, not here.
 * @property {boolean} on
 * @property {number} left_s
 * @property {string} last
 * @property {number} killed
 * @property {number} taken
 * @property {number} lost
 * @property {number} doubled
 * @property {number} on_the_way
 * @property {string[]} said
 */
export {};

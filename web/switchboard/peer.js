//! Another member of the room, as the user of the module sees it. What happens behind it is in member.js.

import { readPath } from './path.js'

/**
 * @typedef {import('./types.js').Data} Data
 * @typedef {import('./types.js').SendOptions} SendOptions
 * @typedef {import('./types.js').Sent} Sent
 * @typedef {import('./types.js').Path} Path
 * @typedef {import('./types.js').PeerState} PeerState
 * @typedef {import('./types.js').Dialect} Dialect
 */

/** How a peer sends: the room knows, and is not known here. @type {WeakMap<Peer, (data: Data, options: SendOptions) => Sent>} */
export const senders = new WeakMap()

export class Peer {
  #member
  #traceId

  /**
   * @param {import('./member.js').Member} member
   * @param {string} traceId
   */
  constructor(member, traceId) {
    this.#member = member
    this.#traceId = traceId
  }

  get id() {
    return this.#member.id
  }

  /** A label that the peer chose, not an identity; may be empty. */
  get name() {
    return this.#member.name
  }

  /** @returns {Dialect} */
  get dialect() {
    return this.#member.dialect
  }

  /** @returns {PeerState} */
  get state() {
    return this.#member.state
  }

  /** Whether the peer has lost its way to the server; direct messages may flow all the same. */
  get away() {
    return this.#member.away
  }

  /**
   * The connection itself, for media tracks, channels and statistics of one's own. Where it was beyond repair it is
   * replaced: the room's event `connection` tells.
   * @returns {RTCPeerConnection}
   */
  get connection() {
    return this.#member.connection
  }

  /**
   * The channel that messages take.
   * @returns {RTCDataChannel | null}
   */
  get channel() {
    return this.#member.channel
  }

  /** The same on both sides, for comparing their timelines. */
  get traceId() {
    return this.#traceId
  }

  /**
   * Sends to this peer alone; see `Room.send`.
   * @param {Data} data
   * @param {Omit<SendOptions, 'to'>} [options]
   * @returns {Sent}
   */
  send(data, options) {
    const send = /** @type {(data: Data, options: SendOptions) => Sent} */ (senders.get(this))
    return send(data, { ...options, to: this })
  }

  /**
   * How the two reach each other now; null while they do not.
   * @returns {Promise<Path | null>}
   */
  path() {
    return readPath(this.connection)
  }
}

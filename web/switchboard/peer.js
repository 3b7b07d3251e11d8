//! Another member of the room, as the user of the module sees it.

/**
 * @typedef {import('./types.js').Data} Data
 * @typedef {import('./types.js').SendOptions} SendOptions
 * @typedef {import('./types.js').Sent} Sent
 * @typedef {import('./types.js').Path} Path
 * @typedef {import('./types.js').PeerState} PeerState
 * @typedef {import('./types.js').Dialect} Dialect
 */

/** Another member of the room. */
export class Peer {
  /** @returns {string} */
  get id() { throw new Error('being written') }
  /** @returns {string} */
  get name() { throw new Error('being written') }
  /** @returns {Dialect} */
  get dialect() { throw new Error('being written') }
  /** @returns {PeerState} */
  get state() { throw new Error('being written') }
  /** @returns {boolean} */
  get away() { throw new Error('being written') }
  /** @returns {RTCPeerConnection} */
  get connection() { throw new Error('being written') }
  /** @returns {RTCDataChannel | null} */
  get channel() { throw new Error('being written') }
  /** @returns {string} */
  get traceId() { throw new Error('being written') }
  /**
   * @param {Data} _data
   * @param {Omit<SendOptions, 'to'>} [_options]
   * @returns {Sent}
   */
  send(_data, _options) { throw new Error('being written') }
  /** @returns {Promise<Path | null>} */
  async path() { throw new Error('being written') }
}

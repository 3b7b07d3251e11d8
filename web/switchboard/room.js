//! A room one is in: who else is here, and the events of it.

/**
 * @typedef {import('./types.js').JoinOptions} JoinOptions
 * @typedef {import('./types.js').RoomEvents} RoomEvents
 * @typedef {import('./types.js').Data} Data
 * @typedef {import('./types.js').SendOptions} SendOptions
 * @typedef {import('./types.js').Sent} Sent
 * @typedef {import('./types.js').SignallingState} SignallingState
 * @typedef {import('./peer.js').Peer} Peer
 */

/** A room one is in. Made by `join`. */
export class Room extends EventTarget {
  /** @returns {string} */
  get id() { throw new Error('being written') }
  /** @returns {boolean} */
  get created() { throw new Error('being written') }
  /** @returns {{ id: string, name: string }} */
  get self() { throw new Error('being written') }
  /** @returns {ReadonlyMap<string, Peer>} */
  get peers() { throw new Error('being written') }
  /** @returns {SignallingState} */
  get signalling() { throw new Error('being written') }
  /**
   * @param {Data} _data
   * @param {SendOptions} [_options]
   * @returns {Sent}
   */
  send(_data, _options) { throw new Error('being written') }
  /** @param {string} _name */
  rename(_name) { throw new Error('being written') }
  /** @returns {Promise<void>} */
  async leave() { throw new Error('being written') }
  /**
   * @template {keyof RoomEvents} T
   * @param {T} _type
   * @param {(detail: RoomEvents[T]) => void} _listener
   * @returns {() => void}  Unsubscribes.
   */
  on(_type, _listener) { throw new Error('being written') }
}

/**
 * @param {string | null} _roomId
 * @param {JoinOptions} [_options]
 * @returns {Promise<Room>}
 */
export async function join(_roomId, _options) { throw new Error('being written') }

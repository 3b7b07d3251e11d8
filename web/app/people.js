//! Who is, or was, in the room, as the page speaks of them. It outlives the peers themselves: lines of the log and
//! receipts still name somebody who has left.

import { hueOf } from './colours.js'
import { callName } from './names.js'

/**
 * @typedef {import('../switchboard.js').Room} Room
 * @typedef {import('../switchboard.js').Peer} Peer
 * @typedef {{ id: string, name: string, hue: number }} Person
 */

/** As many as a room of 32 sees in a long day; the oldest is forgotten first. */
const REMEMBERED = 1024

export class People {
  /** @type {Room} */
  #room
  /** @type {Map<string, Person>} */
  #known = new Map()

  /** @param {Room} room */
  constructor(room) {
    this.#room = room
  }

  /**
   * How to speak of a peer now.
   * @param {Peer} peer
   * @returns {Person}
   */
  meet(peer) {
    const others = [...this.#room.peers.keys()].filter(id => id !== peer.id)
    const person = { id: peer.id, name: callName(peer), hue: hueOf(peer.id, others) }
    this.#known.delete(peer.id)
    this.#known.set(peer.id, person)
    if (this.#known.size > REMEMBERED) this.#known.delete(/** @type {string} */ (this.#known.keys().next().value))
    return person
  }

  /**
   * How to speak of somebody who may have left.
   * @param {string} id
   * @returns {Person}
   */
  recall(id) {
    const here = this.#room.peers.get(id)
    if (here) return this.meet(here)
    return this.#known.get(id) ?? { id, name: `Guest ${id.slice(0, 4)}`, hue: hueOf(id) }
  }
}

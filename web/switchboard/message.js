//! One message on its way out: what it consists of (the same for all recipients) and what has become of it (for each).

import { SwitchboardError } from './errors.js'
import { SHORT_TEXT } from './frames.js'
import { randomId } from './ids.js'

/**
 * @typedef {import('./types.js').Data} Data
 * @typedef {import('./types.js').Delivery} Delivery
 * @typedef {import('./types.js').Sent} Sent
 */

/** A message that can be read piece by piece, by several recipients at their own speeds. */
export class Message {
  id = randomId()
  at = Date.now()
  /** @type {string | null} The text, where there is one. */
  text = null
  /** @type {Uint8Array | Blob} */
  #source

  /** @param {Data} data  Copied: later changes by the caller do not reach the recipients. */
  constructor(data) {
    if (typeof data === 'string') {
      this.text = data
      this.#source = new TextEncoder().encode(data)
    } else if (data instanceof Blob) {
      this.#source = data
    } else if (data instanceof ArrayBuffer) {
      this.#source = new Uint8Array(data.slice(0))
    } else if (ArrayBuffer.isView(data)) {
      this.#source = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
    } else {
      throw new SwitchboardError('bad-data', 'Only a string, an ArrayBuffer, a view of one or a Blob can be sent.')
    }
  }

  get binary() {
    return this.text === null
  }

  get bytes() {
    return this.#source instanceof Blob ? this.#source.size : this.#source.length
  }

  /** Whether it travels in one frame. */
  get short() {
    return this.text !== null && this.text.length <= SHORT_TEXT
  }

  /**
   * @param {number} from
   * @param {number} to
   * @returns {Uint8Array | Promise<Uint8Array>}
   */
  read(from, to) {
    if (this.#source instanceof Blob) return this.#source.slice(from, to).arrayBuffer().then(buffer => new Uint8Array(buffer))
    return this.#source.subarray(from, to)
  }
}

/** @implements {Sent} */
export class Receipt {
  id
  /** @type {Map<string, Delivery>} */
  to = new Map()
  /** @type {Promise<void>} */
  done
  #message
  #onProgress
  /** @type {Map<string, number>} */
  #handed = new Map()
  #open = 0
  #finish = () => {}

  /**
   * @param {Message} message
   * @param {string[]} to
   * @param {((sent: number, total: number) => void) | undefined} onProgress
   */
  constructor(message, to, onProgress) {
    this.id = message.id
    this.#message = message
    this.#onProgress = onProgress
    for (const id of to) {
      this.to.set(id, 'queued')
      this.#handed.set(id, 0)
    }
    this.#open = to.length
    this.done = new Promise(resolve => { this.#finish = resolve })
    if (to.length === 0) this.#finish()
  }

  /**
   * @param {string} peer
   * @param {Delivery} state
   * @param {boolean} final
   */
  changed(peer, state, final) {
    this.to.set(peer, state)
    if (final && this.#handed.delete(peer) && --this.#open === 0) this.#finish()
  }

  /**
   * @param {string} peer
   * @param {number} bytes  Handed to the channel so far.
   */
  progressed(peer, bytes) {
    if (!this.#onProgress || !this.#handed.has(peer)) return
    this.#handed.set(peer, bytes)
    this.#onProgress(Math.min(...this.#handed.values()), this.#message.bytes)
  }
}

//! What one peer sends over a `switchboard.1` channel, put together again within limits. A hostile peer costs at most
//! `LIMITS.totalBytes` of memory here, and gets each message refused that does not fit.

import { SwitchboardError } from './errors.js'
import { bad } from './frames.js'

/**
 * @typedef {import('./frames.js').Begin} Begin
 * @typedef {import('./frames.js').Frame} Frame
 */

/**
 * @typedef {object} Delivered
 * @property {string} id
 * @property {string | ArrayBuffer} data
 * @property {number} at
 */

/**
 * @typedef {object} InboxListener
 * @property {(message: Delivered) => void} message
 * @property {(id: string, received: number, total: number) => void} progress
 * @property {(error: SwitchboardError) => void} error
 * @property {(frame: Frame) => void} reply
 */

/** Large messages under way at once. */
export const STREAMS = 8
/** Ids of messages had, so that one sent again after an interruption is not told twice. */
const REMEMBERED = 2048
/** How often the progress of a message is told, in milliseconds. */
const PROGRESS_MS = 100

/** A message on its way in. */
class Incoming {
  received = 0
  toldAt = 0

  /** @param {Begin} begin */
  constructor(begin) {
    this.begin = begin
    this.bytes = new Uint8Array(begin.bytes)
  }
}

export class Inbox {
  /** @type {Map<number, Incoming>} */
  #streams = new Map()
  #last = 0
  #announced = 0
  /** @type {Set<string>} */
  #had = new Set()
  #maxBytes
  #listener

  /**
   * @param {number} maxBytes  Of one message.
   * @param {InboxListener} listener
   */
  constructor(maxBytes, listener) {
    this.#maxBytes = maxBytes
    this.#listener = listener
  }

  /** Bytes of messages under way at once. */
  get totalBytes() {
    return 2 * this.#maxBytes
  }

  /** The channel is gone; what was under way begins anew. */
  reset() {
    this.#streams.clear()
    this.#last = 0
    this.#announced = 0
  }

  /**
   * A text in one frame.
   * @param {{ id: string, text: string, at: number }} frame
   */
  text({ id, text, at }) {
    if (text.length > this.#maxBytes) this.#refuse(id, 'too-large', `At most ${this.#maxBytes} bytes.`)
    else this.#deliver(id, text, at)
  }

  /**
   * The beginning of a large message.
   * @param {Begin} begin
   */
  begin(begin) {
    const { id, stream, bytes } = begin
    if (stream <= this.#last) throw bad(`a message on stream ${stream}, which was used before,`)
    this.#last = stream
    if (this.#had.has(id)) return this.#listener.reply({ type: 'ack', id })
    if (bytes > this.#maxBytes) {
      return this.#refuse(id, 'too-large', `It has ${bytes} bytes; at most ${this.#maxBytes} are taken.`)
    }
    if (this.#streams.size >= STREAMS || this.#announced + bytes > this.totalBytes) {
      return this.#refuse(id, 'too-many', `At most ${STREAMS} large messages and ${this.totalBytes} bytes of them at once.`)
    }
    const incoming = new Incoming(begin)
    this.#streams.set(stream, incoming)
    this.#announced += bytes
    if (bytes === 0) this.#complete(incoming)
  }

  /**
   * A piece of a large message.
   * @param {number} stream
   * @param {Uint8Array} bytes
   */
  chunk(stream, bytes) {
    const incoming = this.#streams.get(stream)
    if (!incoming) {
      // What was refused may be under way still.
      if (stream > 0 && stream <= this.#last) return
      throw bad(`a chunk of stream ${stream}, which has not begun`)
    }
    const { begin } = incoming
    if (incoming.received + bytes.length > begin.bytes) {
      this.#drop(stream)
      this.#refuse(begin.id, 'bad-message', 'It was longer than announced.')
      return
    }
    incoming.bytes.set(bytes, incoming.received)
    incoming.received += bytes.length
    this.#tell(incoming)
    if (incoming.received === begin.bytes) this.#complete(incoming)
  }

  /** @param {number} stream */
  cancel(stream) {
    this.#drop(stream)
  }

  /** @param {Incoming} incoming */
  #complete({ begin, bytes }) {
    this.#drop(begin.stream)
    if (begin.binary) return this.#deliver(begin.id, bytes.buffer, begin.at)
    /** @type {string} */
    let text
    try {
      text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch {
      return this.#refuse(begin.id, 'bad-message', 'It is not UTF-8.')
    }
    this.#deliver(begin.id, text, begin.at)
  }

  /**
   * @param {string} id
   * @param {string | ArrayBuffer} data
   * @param {number} at
   */
  #deliver(id, data, at) {
    if (!this.#had.has(id)) {
      this.#had.add(id)
      if (this.#had.size > REMEMBERED) this.#had.delete(/** @type {string} */ (this.#had.values().next().value))
      this.#listener.message({ id, data, at })
    }
    this.#listener.reply({ type: 'ack', id })
  }

  /**
   * @param {string} id
   * @param {string} code
   * @param {string} message
   */
  #refuse(id, code, message) {
    this.#listener.reply({ type: 'refuse', id, code, message })
    this.#listener.error(new SwitchboardError(code, `A message of the peer was refused. ${message}`))
  }

  /** @param {number} stream */
  #drop(stream) {
    const incoming = this.#streams.get(stream)
    if (incoming && this.#streams.delete(stream)) this.#announced -= incoming.begin.bytes
  }

  /** @param {Incoming} incoming */
  #tell(incoming) {
    const now = performance.now()
    if (now - incoming.toldAt < PROGRESS_MS && incoming.received < incoming.begin.bytes) return
    incoming.toldAt = now
    this.#listener.progress(incoming.begin.id, incoming.received, incoming.begin.bytes)
  }
}

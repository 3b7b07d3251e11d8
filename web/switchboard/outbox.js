//! What one peer is still to get over a `switchboard.1` channel: queues, fair chunks, back-pressure, acknowledgements.
//! A message is kept until the peer acknowledges it, so that a new channel can carry again what the old one lost.

import { SwitchboardError } from './errors.js'
import { CHUNK_FRAME, CHUNK_HEADER, chunkFrame } from './frames.js'

/**
 * @typedef {import('./frames.js').Hello} Hello
 * @typedef {import('./frames.js').Refuse} Refuse
 * @typedef {import('./message.js').Message} Message
 * @typedef {import('./types.js').Delivery} Delivery
 */

/**
 * @typedef {object} Recipient
 * @property {(state: Delivery, final: boolean) => void} changed
 * @property {(bytes: number) => void} progressed
 * @property {(error: SwitchboardError) => void} failed
 */

/** Stop filling the browser's buffer here: what is in it cannot be overtaken by a short text. */
const HIGH_WATER = 256 * 1024
const LOW_WATER = 64 * 1024
/** Beyond this the peer does not read: what is not a message is dropped then, for silence is detected anyway. */
const CLOGGED = 4 * 1024 * 1024
/** Messages that wait or are not acknowledged, and bytes of them: past that the caller must wait. */
const QUEUED = 1024
const QUEUED_BYTES = 128 * 1024 * 1024
/** How much of a file is read at once. */
const READ_AHEAD = 256 * 1024

/** One message to one peer. */
class Outgoing {
  stream = 0
  offset = 0
  /** @type {Uint8Array} What is read and not sent yet, for files. */
  ahead = new Uint8Array()
  reading = false

  /**
   * @param {Message} message
   * @param {Recipient} recipient
   */
  constructor(message, recipient) {
    this.message = message
    this.recipient = recipient
  }
}

export class Outbox {
  /** @type {RTCDataChannel | null} */
  #channel = null
  /** @type {Hello | null} */
  #peer = null
  /** @type {Map<string, Outgoing>} All that is not settled, in the order it was sent. */
  #all = new Map()
  #bytes = 0
  /** @type {Outgoing[]} */
  #short = []
  /** @type {Outgoing[]} */
  #waiting = []
  /** @type {Outgoing[]} Take turns, chunk by chunk. */
  #active = []
  #streams = 0
  #chunk = CHUNK_FRAME

  /**
   * Goes on over a channel that is open.
   * @param {RTCDataChannel} channel
   * @param {number} maxMessageSize  Of the SCTP association, in bytes.
   */
  attach(channel, maxMessageSize) {
    this.#channel = channel
    this.#chunk = Math.min(CHUNK_FRAME, maxMessageSize)
    channel.bufferedAmountLowThreshold = LOW_WATER
    channel.onbufferedamountlow = () => this.#pump()
    this.#pump()
  }

  /** The channel is gone: all that was not acknowledged is to be sent again. */
  detach() {
    this.#channel = null
    this.#peer = null
    this.#short = []
    this.#waiting = []
    this.#active = []
    this.#streams = 0
    for (const { message, recipient } of [...this.#all.values()]) {
      const again = new Outgoing(message, recipient)
      this.#all.set(message.id, again)
      this.#enqueue(again)
      recipient.changed('queued', false)
    }
  }

  /**
   * The peer said what it takes; large messages may go now.
   * @param {Hello} hello
   */
  greeted(hello) {
    this.#peer = hello
    this.#pump()
  }

  /**
   * @param {Message} message
   * @param {Recipient} recipient
   * @throws {SwitchboardError} `queue-full`
   */
  add(message, recipient) {
    if (this.#all.size >= QUEUED || (this.#all.size > 0 && this.#bytes + message.bytes > QUEUED_BYTES)) {
      throw new SwitchboardError('queue-full', 'Too much is waiting for this peer already: send more when something has been delivered.')
    }
    const item = new Outgoing(message, recipient)
    this.#all.set(message.id, item)
    this.#bytes += message.bytes
    this.#enqueue(item)
    this.#pump()
  }

  /**
   * The peer has the message.
   * @param {string} id
   */
  acknowledged(id) {
    const item = this.#all.get(id)
    if (item) this.#settle(item, 'delivered')
    this.#pump()
  }

  /**
   * The peer does not take the message.
   * @param {Refuse} refusal
   */
  refused({ id, code, message }) {
    const item = this.#all.get(id)
    if (!item) return
    this.#settle(item, 'failed')
    item.recipient.failed(new SwitchboardError(code, `The peer refused a message: ${message.slice(0, 200)}`))
    this.#pump()
  }

  /** The peer left: nothing more will be delivered. */
  abandon() {
    this.#channel = null
    for (const item of [...this.#all.values()]) this.#settle(item, 'failed')
  }

  /**
   * Sends what is not a message, past all queues.
   * @param {import('./frames.js').Frame} frame
   */
  control(frame) {
    if (this.#channel?.readyState === 'open' && this.#channel.bufferedAmount < CLOGGED) this.#put(JSON.stringify(frame))
  }

  /** @param {Outgoing} item */
  #enqueue(item) {
    (item.message.short ? this.#short : this.#waiting).push(item)
  }

  /**
   * @param {Outgoing} item
   * @param {'delivered' | 'failed'} state
   */
  #settle(item, state) {
    if (!this.#all.delete(item.message.id)) return
    this.#bytes -= item.message.bytes
    for (const queue of [this.#short, this.#waiting, this.#active]) {
      const at = queue.indexOf(item)
      if (at >= 0) queue.splice(at, 1)
    }
    item.recipient.changed(state, true)
  }

  #pump() {
    while (this.#channel?.readyState === 'open' && this.#channel.bufferedAmount < HIGH_WATER) {
      if (!this.#sendText() && !this.#sendChunk()) return
    }
  }

  #sendText() {
    const item = this.#short.shift()
    if (!item) return false
    const { id, text, at, bytes } = item.message
    if (!this.#put(JSON.stringify({ type: 'text', id, text, at }))) return false
    item.recipient.progressed(bytes)
    item.recipient.changed('sent', false)
    return true
  }

  /** Sends the next chunk of whoever's turn it is. */
  #sendChunk() {
    this.#begin()
    for (let turns = this.#active.length; turns > 0; turns--) {
      const item = /** @type {Outgoing} */ (this.#active.shift())
      const { message, recipient } = item
      const bytes = this.#piece(item)
      if (bytes === null) {
        this.#active.push(item)
        continue
      }
      if (bytes.length > 0 && !this.#put(chunkFrame(item.stream, bytes))) return false
      item.offset += bytes.length
      recipient.progressed(item.offset)
      if (item.offset < message.bytes) this.#active.push(item)
      else recipient.changed('sent', false)
      return true
    }
    return false
  }

  /** Begins messages as long as the peer has room for them. */
  #begin() {
    const peer = this.#peer
    while (peer && this.#waiting.length > 0) {
      const item = /** @type {Outgoing} */ (this.#waiting[0])
      const { id, bytes, binary, at } = item.message
      if (bytes > peer.maxBytes) {
        this.#settle(item, 'failed')
        item.recipient.failed(new SwitchboardError('too-large', `The peer takes messages of at most ${peer.maxBytes} bytes; this one has ${bytes}.`))
        continue
      }
      const under = [...this.#all.values()].filter(other => other.stream > 0)
      const total = under.reduce((sum, other) => sum + other.message.bytes, bytes)
      if (under.length > 0 && (under.length >= peer.streams || total > peer.totalBytes)) return
      this.#waiting.shift()
      item.stream = ++this.#streams
      this.#active.push(item)
      this.#put(JSON.stringify({ type: 'begin', id, stream: item.stream, bytes, binary, at }))
      item.recipient.changed('sending', false)
    }
  }

  /**
   * The next piece of a message; null while it is being read.
   * @param {Outgoing} item
   * @returns {Uint8Array | null}
   */
  #piece(item) {
    const size = this.#chunk - CHUNK_HEADER
    const { message, offset } = item
    if (item.ahead.length > 0 || offset >= message.bytes) {
      const piece = item.ahead.subarray(0, size)
      item.ahead = item.ahead.subarray(size)
      return piece
    }
    if (item.reading) return null
    const read = message.read(offset, Math.min(offset + READ_AHEAD, message.bytes))
    if (read instanceof Uint8Array) {
      item.ahead = read
      return this.#piece(item)
    }
    item.reading = true
    read.then(bytes => {
      item.reading = false
      item.ahead = bytes
      this.#pump()
    }, cause => this.#unreadable(item, cause))
    return null
  }

  /**
   * @param {Outgoing} item
   * @param {unknown} cause
   */
  #unreadable(item, cause) {
    if (this.#all.get(item.message.id) !== item) return
    this.#settle(item, 'failed')
    this.control({ type: 'cancel', stream: item.stream })
    item.recipient.failed(new SwitchboardError('unreadable', 'A file could not be read to its end; was it changed or removed?', cause))
    this.#pump()
  }

  /**
   * @param {string | Uint8Array<ArrayBuffer>} frame
   * @returns {boolean}  False where the channel is closing; what was lost goes over the next one.
   */
  #put(frame) {
    try {
      if (typeof frame === 'string') this.#channel?.send(frame)
      else this.#channel?.send(frame)
      return true
    } catch {
      this.#channel = null
      return false
    }
  }
}

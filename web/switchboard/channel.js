//! What is said to one peer and heard from it, over one data channel after another: framed (`switchboard.1`,
//! docs/protocol/channel.md), or the bare text of peers that know nothing of frames.

import { bad, CHUNK_FRAME, CHUNK_HEADER, chunkFrame, ours, PROTOCOL, randomId, readChunk, readFrame, SwitchboardError } from './wire.js'

/** @import { Begin, Conversation, ConversationListener, Delivering, Frame, Hello, Refuse } from './types.js' */
/** @import { Message } from './room.js' */

/** What is in the browser's buffer cannot be overtaken by a short text. */
const HIGH_WATER = 256 * 1024
const LOW_WATER = 64 * 1024
/** The peer does not read: what is not a message is dropped then. */
const CLOGGED = 4 * 1024 * 1024
/** Messages that are not settled, and bytes of them; of bare texts as many bytes as clog a channel. */
const QUEUED = 1024
const QUEUED_BYTES = 128 * 1024 * 1024
const READ_AHEAD = 256 * 1024 // of a file

const FULL = () => new SwitchboardError('queue-full', 'Too much is waiting for this peer already.')
/** One message to one peer. */
class Outgoing {
  stream = 0
  offset = 0
  /** @type {Uint8Array} What is read and not sent yet. */
  ahead = new Uint8Array()
  reading = false

  /** @param {Message} message @param {Delivering} recipient */
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

  /** Goes on over a channel that is open. @param {RTCDataChannel} channel @param {number} maxMessageSize  Of SCTP, in bytes. */
  attach(channel, maxMessageSize) {
    this.#channel = channel
    this.#chunk = Math.min(CHUNK_FRAME, maxMessageSize)
    channel.bufferedAmountLowThreshold = LOW_WATER
    channel.onbufferedamountlow = () => this.#pump()
    this.#pump()
  }

  /** All that was not acknowledged is to be sent again. */
  detach() {
    this.#channel = this.#peer = null
    this.#short = []
    this.#waiting = []
    this.#active = []
    this.#streams = 0
    for (const { message, recipient } of [...this.#all.values()]) {
      this.#enqueue(new Outgoing(message, recipient))
      recipient.changed('queued', false)
    }
  }

  /** Large messages may go now. @param {Hello} hello */
  greeted(hello) {
    this.#peer = hello
    this.#pump()
  }

  /** @param {Message} message @param {Delivering} recipient @throws {SwitchboardError} `queue-full` */
  add(message, recipient) {
    if (this.#all.size >= QUEUED || (this.#all.size > 0 && this.#bytes + message.bytes > QUEUED_BYTES)) {
      throw FULL()
    }
    this.#bytes += message.bytes
    this.#enqueue(new Outgoing(message, recipient))
    this.#pump()
  }

  /** @param {string} id */
  acknowledged(id) {
    this.#settle(this.#all.get(id), 'delivered')
    this.#pump()
  }

  /** @param {Refuse} refusal */
  refused({ id, code, message }) {
    this.#fail(this.#all.get(id), new SwitchboardError(code, `The peer refused a message: ${message.slice(0, 200)}`))
    this.#pump()
  }

  abandon() {
    this.#channel = null
    for (const item of [...this.#all.values()]) this.#settle(item, 'failed')
  }

  /** Sends what is not a message, past all queues. @param {Frame} frame */
  control(frame) {
    if (this.#channel?.readyState === 'open' && this.#channel.bufferedAmount < CLOGGED) this.#put(JSON.stringify(frame))
  }

  /** @param {Outgoing} item */
  #enqueue(item) {
    this.#all.set(item.message.id, item)
    const queue = item.message.short ? this.#short : this.#waiting
    queue.push(item)
  }

  /** @param {Outgoing | undefined} item @param {'delivered' | 'failed'} state */
  #settle(item, state) {
    if (!item || !this.#all.delete(item.message.id)) return
    this.#bytes -= item.message.bytes
    for (const queue of [this.#short, this.#waiting, this.#active]) {
      const at = queue.indexOf(item)
      if (at >= 0) queue.splice(at, 1)
    }
    item.recipient.changed(state, true)
  }

  /** @param {Outgoing | undefined} item @param {SwitchboardError} error */
  #fail(item, error) {
    this.#settle(item, 'failed')
    item?.recipient.failed(error)
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

  /** The next chunk of whoever's turn it is. */
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
    for (let item = this.#waiting[0]; peer && item; item = this.#waiting[0]) {
      const { id, bytes, binary, at } = item.message
      if (bytes > peer.maxBytes) {
        this.#fail(item, new SwitchboardError('too-large', `The peer takes at most ${peer.maxBytes} bytes; this message has ${bytes}.`))
        continue
      }
      const begun = [...this.#all.values()].filter(({ stream }) => stream > 0)
      const total = begun.reduce((sum, { message }) => sum + message.bytes, bytes)
      if (begun.length > 0 && (begun.length >= peer.streams || total > peer.totalBytes)) return
      this.#waiting.shift()
      item.stream = ++this.#streams
      this.#active.push(item)
      this.#put(JSON.stringify({ type: 'begin', id, stream: item.stream, bytes, binary, at }))
      item.recipient.changed('sending', false)
    }
  }

  /** The next piece of a message; null while it is being read. @param {Outgoing} item @returns {Uint8Array | null} */
  #piece(item) {
    const { message, offset } = item
    if (item.ahead.length > 0 || offset >= message.bytes) {
      const size = this.#chunk - CHUNK_HEADER
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
    }, cause => {
      if (this.#all.get(message.id) !== item) return
      this.control({ type: 'cancel', stream: item.stream })
      this.#fail(item, new SwitchboardError('unreadable', 'The file could not be read to its end.', cause))
    })
    return null
  }

  /** @param {string | Uint8Array<ArrayBuffer>} frame @returns {boolean}  False where the channel is closing; the next one carries it. */
  #put(frame) {
    try {
      this.#channel?.send(/** @type {string} */ (frame))
      return true
    } catch {
      this.#channel = null
      return false
    }
  }
}

/** Large messages under way at once. */
const STREAMS = 8
/** Ids of messages had: one sent again after an interruption is not told twice. */
const REMEMBERED = 2048
/** How often the progress of a message is told. */
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

/** What one peer sends: at most twice the largest message of it is in memory. */
class Inbox {
  /** @type {Map<number, Incoming>} */
  #streams = new Map()
  #last = 0
  #announced = 0
  /** @type {Set<string>} */
  #had = new Set()
  #maxBytes
  #listener
  #reply

  /** @param {number} maxBytes  Of one message. @param {ConversationListener} listener @param {(frame: Frame) => void} reply */
  constructor(maxBytes, listener, reply) {
    this.#maxBytes = maxBytes
    this.#listener = listener
    this.#reply = reply
  }

  get totalBytes() {
    return 2 * this.#maxBytes
  }

  reset() {
    this.#streams.clear()
    this.#last = 0
    this.#announced = 0
  }

  /** @param {Begin} begin */
  begin(begin) {
    const { id, stream, bytes } = begin
    if (stream <= this.#last) throw bad(`a message on stream ${stream}, which was used before,`)
    this.#last = stream
    if (this.#had.has(id)) return this.#reply({ type: 'ack', id })
    if (bytes > this.#maxBytes) return this.#refuse(id, 'too-large', `It has ${bytes} bytes; at most ${this.#maxBytes} are taken.`)
    if (this.#streams.size >= STREAMS || this.#announced + bytes > this.totalBytes) {
      return this.#refuse(id, 'too-many', `At most ${STREAMS} large messages and ${this.totalBytes} bytes of them at once.`)
    }
    const incoming = new Incoming(begin)
    this.#streams.set(stream, incoming)
    this.#announced += bytes
    if (bytes === 0) this.#complete(incoming)
  }

  /** @param {number} stream @param {Uint8Array} bytes */
  chunk(stream, bytes) {
    const incoming = this.#streams.get(stream)
    if (!incoming) {
      // It may have been refused.
      if (stream > 0 && stream <= this.#last) return
      throw bad(`a chunk of stream ${stream}, which has not begun`)
    }
    const { begin } = incoming
    if (incoming.received + bytes.length > begin.bytes) {
      this.drop(stream)
      return this.#refuse(begin.id, 'bad-message', 'It was longer than announced.')
    }
    incoming.bytes.set(bytes, incoming.received)
    incoming.received += bytes.length
    this.#tell(incoming)
    if (incoming.received === begin.bytes) this.#complete(incoming)
  }

  /** @param {number} stream */
  drop(stream) {
    this.#announced -= this.#streams.get(stream)?.begin.bytes ?? 0
    this.#streams.delete(stream)
  }

  /** A whole message. @param {string} id @param {string | ArrayBuffer} data @param {number} at */
  deliver(id, data, at) {
    if (!this.#had.has(id)) {
      this.#had.add(id)
      if (this.#had.size > REMEMBERED) this.#had.delete(/** @type {string} */ (this.#had.values().next().value))
      this.#listener.message(id, data, at)
    }
    this.#reply({ type: 'ack', id })
  }

  /** @param {Incoming} incoming */
  #complete({ begin: { id, stream, binary, at }, bytes }) {
    this.drop(stream)
    if (binary) return this.deliver(id, bytes.buffer, at)
    /** @type {string} */
    let text
    try {
      text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch {
      return this.#refuse(id, 'bad-message', 'It is not UTF-8.')
    }
    this.deliver(id, text, at)
  }

  /** @param {string} id @param {string} code @param {string} message */
  #refuse(id, code, message) {
    this.#reply({ type: 'refuse', id, code, message })
    this.#listener.error(new SwitchboardError(code, `A message of the peer was refused. ${message}`))
  }

  /** @param {Incoming} incoming */
  #tell(incoming) {
    const now = performance.now()
    const { received, begin } = incoming
    if (now - incoming.toldAt < PROGRESS_MS && received < begin.bytes) return
    incoming.toldAt = now
    this.#listener.progress(begin.id, received, begin.bytes)
  }
}

/** @param {RTCDataChannel} channel */
export const isFramed = channel => channel.protocol === PROTOCOL

/** @implements {Conversation} */
export class FramedConversation {
  plain = false
  #outbox = new Outbox()
  #inbox
  #maxBytes
  #listener
  #pings = 0

  /** @param {number} maxBytes  Of one message, either way. @param {ConversationListener} listener */
  constructor(maxBytes, listener) {
    this.#maxBytes = maxBytes
    this.#listener = listener
    this.#inbox = new Inbox(maxBytes, listener, frame => this.#outbox.control(frame))
  }

  /** @param {RTCDataChannel} channel @param {number} maxMessageSize */
  attach(channel, maxMessageSize) {
    channel.binaryType = 'arraybuffer'
    channel.onmessage = ({ data }) => {
      this.#listener.heard()
      try {
        if (typeof data === 'string') return this.#frame(data)
        const { stream, bytes } = readChunk(data)
        this.#inbox.chunk(stream, bytes)
      } catch (error) {
        this.#listener.error(ours(error))
      }
    }
    channel.send(JSON.stringify({ type: 'hello', maxBytes: this.#maxBytes, totalBytes: this.#inbox.totalBytes, streams: STREAMS }))
    this.#outbox.attach(channel, maxMessageSize)
  }

  detach() {
    this.#inbox.reset()
    this.#outbox.detach()
  }

  /** @param {Message} message @param {Delivering} recipient */
  send(message, recipient) {
    this.#outbox.add(message, recipient)
  }

  ping() {
    this.#outbox.control({ type: 'ping', n: ++this.#pings })
  }

  bye() {
    this.#outbox.control({ type: 'bye' })
  }

  abandon() {
    this.#outbox.abandon()
  }

  /** @param {string} text */
  #frame(text) {
    const frame = readFrame(text)
    switch (frame?.type) {
      case 'hello': return this.#outbox.greeted(frame)
      case 'text': return this.#inbox.deliver(frame.id, frame.text, frame.at)
      case 'begin': return this.#inbox.begin(frame)
      case 'cancel': return this.#inbox.drop(frame.stream)
      case 'ack': return this.#outbox.acknowledged(frame.id)
      case 'refuse': return this.#outbox.refused(frame)
      case 'ping': return this.#outbox.control({ type: 'pong', n: frame.n })
      case 'bye': return this.#listener.bye()
      case 'pong':
      case undefined:
    }
  }
}

/** @implements {Conversation} */
export class PlainConversation {
  plain = true
  /** @type {RTCDataChannel | null} */
  #channel = null
  #maxMessageSize = 0
  /** @type {{ message: Message, recipient: Delivering }[]} */
  #queue = []
  #maxBytes
  #listener

  /** @param {number} maxBytes @param {ConversationListener} listener */
  constructor(maxBytes, listener) {
    this.#maxBytes = maxBytes
    this.#listener = listener
  }

  /** @param {RTCDataChannel} channel @param {number} maxMessageSize */
  attach(channel, maxMessageSize) {
    this.#channel = channel
    this.#maxMessageSize = maxMessageSize
    channel.onmessage = ({ data }) => {
      this.#listener.heard()
      if (typeof data === 'string' && data.length <= this.#maxBytes) this.#listener.message(randomId(), data, NaN)
      else this.#listener.error(bad(`what is no text of at most ${this.#maxBytes} characters`))
    }
    for (const { message, recipient } of this.#queue.splice(0)) this.#put(message, recipient)
  }

  detach() {
    this.#channel = null
  }

  /** @param {Message} message @param {Delivering} recipient */
  send(message, recipient) {
    const waiting = this.#channel?.bufferedAmount ?? this.#queue.reduce((sum, { message }) => sum + message.bytes, 0)
    if (this.#queue.length >= QUEUED || (waiting > 0 && waiting + message.bytes > CLOGGED)) throw FULL()
    if (this.#channel) return this.#put(message, recipient)
    this.#queue.push({ message, recipient })
  }

  ping() {}
  bye() {}

  abandon() {
    this.#channel = null
    for (const { recipient } of this.#queue.splice(0)) recipient.changed('failed', true)
  }

  /** @param {Message} message @param {Delivering} recipient */
  #put({ text, bytes }, recipient) {
    try {
      if (text === null) throw new SwitchboardError('text-only', 'This peer takes plain text only.')
      if (bytes > this.#maxMessageSize) throw new SwitchboardError('too-large', `This peer takes at most ${this.#maxMessageSize} bytes.`)
      this.#channel?.send(text)
      recipient.progressed(bytes)
      recipient.changed('sent', true)
    } catch (error) {
      recipient.changed('failed', true)
      recipient.failed(error instanceof SwitchboardError ? error : new SwitchboardError('not-sent', 'The channel did not take the message.', error))
    }
  }
}

//! What is said to one peer and heard from it, over one data channel after another: a `FramedConversation` for peers that
//! speak `switchboard.1`, a `PlainConversation` for peers whose channel carries bare text.

import { SwitchboardError } from './errors.js'
import { bad, PROTOCOL, readChunk, readFrame } from './frames.js'
import { randomId } from './ids.js'
import { Inbox, STREAMS } from './inbox.js'
import { Outbox } from './outbox.js'

/**
 * @typedef {import('./message.js').Message} Message
 * @typedef {import('./outbox.js').Recipient} Recipient
 * @typedef {import('./inbox.js').Delivered} Delivered
 */

/**
 * @typedef {object} ConversationListener
 * @property {() => void} heard  Any sign of life.
 * @property {(message: Delivered) => void} message
 * @property {(id: string, received: number, total: number) => void} progress
 * @property {() => void} bye
 * @property {(error: SwitchboardError) => void} error
 */

/**
 * @typedef {object} Conversation
 * @property {boolean} plain
 * @property {(channel: RTCDataChannel, maxMessageSize: number) => void} attach
 * @property {() => void} detach
 * @property {(message: Message, recipient: Recipient) => void} send
 * @property {() => void} ping
 * @property {() => void} bye
 * @property {() => void} abandon
 */

/**
 * The conversation that a channel asks for.
 * @param {RTCDataChannel} channel
 */
export const isFramed = channel => channel.protocol === PROTOCOL

/** @implements {Conversation} */
export class FramedConversation {
  plain = false
  #outbox = new Outbox()
  #inbox
  #maxBytes
  #listener
  #pings = 0

  /**
   * @param {number} maxBytes  Of one message, either way.
   * @param {ConversationListener} listener
   */
  constructor(maxBytes, listener) {
    this.#maxBytes = maxBytes
    this.#listener = listener
    this.#inbox = new Inbox(maxBytes, {
      message: message => listener.message(message),
      progress: (id, received, total) => listener.progress(id, received, total),
      error: error => listener.error(error),
      reply: frame => this.#outbox.control(frame),
    })
  }

  /**
   * @param {RTCDataChannel} channel  Open.
   * @param {number} maxMessageSize
   */
  attach(channel, maxMessageSize) {
    channel.binaryType = 'arraybuffer'
    channel.onmessage = ({ data }) => {
      this.#listener.heard()
      try {
        if (typeof data === 'string') this.#frame(data)
        else this.#chunk(data)
      } catch (error) {
        this.#listener.error(error instanceof SwitchboardError ? error : new SwitchboardError('internal', String(error), error))
      }
    }
    channel.send(JSON.stringify({ type: 'hello', maxBytes: this.#maxBytes, totalBytes: this.#inbox.totalBytes, streams: STREAMS }))
    this.#outbox.attach(channel, maxMessageSize)
  }

  detach() {
    this.#inbox.reset()
    this.#outbox.detach()
  }

  /**
   * @param {Message} message
   * @param {Recipient} recipient
   */
  send(message, recipient) {
    this.#outbox.add(message, recipient)
  }

  /** Asks for a sign of life. */
  ping() {
    this.#outbox.control({ type: 'ping', n: ++this.#pings })
  }

  /** Says that we leave. */
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
      case 'text': return this.#inbox.text(frame)
      case 'begin': return this.#inbox.begin(frame)
      case 'cancel': return this.#inbox.cancel(frame.stream)
      case 'ack': return this.#outbox.acknowledged(frame.id)
      case 'refuse': return this.#outbox.refused(frame)
      case 'ping': return this.#outbox.control({ type: 'pong', n: frame.n })
      case 'bye': return this.#listener.bye()
      case 'pong':
      case undefined:
    }
  }

  /** @param {unknown} data */
  #chunk(data) {
    if (!(data instanceof ArrayBuffer)) throw bad('a frame of an unknown kind')
    const { stream, bytes } = readChunk(data)
    this.#inbox.chunk(stream, bytes)
  }
}

/** Messages that wait for a plain channel to open. */
const QUEUED = 256

/** @implements {Conversation} */
export class PlainConversation {
  plain = true
  /** @type {RTCDataChannel | null} */
  #channel = null
  #maxMessageSize = 0
  /** @type {{ message: Message, recipient: Recipient }[]} */
  #queue = []
  #maxBytes
  #listener

  /**
   * @param {number} maxBytes
   * @param {ConversationListener} listener
   */
  constructor(maxBytes, listener) {
    this.#maxBytes = maxBytes
    this.#listener = listener
  }

  /**
   * @param {RTCDataChannel} channel  Open.
   * @param {number} maxMessageSize
   */
  attach(channel, maxMessageSize) {
    this.#channel = channel
    this.#maxMessageSize = maxMessageSize
    channel.onmessage = ({ data }) => {
      this.#listener.heard()
      if (typeof data !== 'string') return this.#listener.error(bad('binary data on a channel for plain text'))
      if (data.length > this.#maxBytes) return this.#listener.error(bad(`a text of ${data.length} characters; ${this.#maxBytes} is the limit`))
      this.#listener.message({ id: randomId(), data, at: NaN })
    }
    for (const { message, recipient } of this.#queue.splice(0)) this.#put(message, recipient)
  }

  detach() {
    this.#channel = null
  }

  /**
   * @param {Message} message
   * @param {Recipient} recipient
   */
  send(message, recipient) {
    if (this.#channel?.readyState === 'open') return this.#put(message, recipient)
    if (this.#queue.length >= QUEUED) throw new SwitchboardError('queue-full', 'Too much is waiting for this peer already.')
    this.#queue.push({ message, recipient })
  }

  ping() {}

  bye() {}

  abandon() {
    this.#channel = null
    for (const { recipient } of this.#queue.splice(0)) recipient.changed('failed', true)
  }

  /**
   * @param {Message} message
   * @param {Recipient} recipient
   */
  #put(message, recipient) {
    const wrong = this.#unfit(message)
    if (wrong) {
      recipient.changed('failed', true)
      return recipient.failed(wrong)
    }
    try {
      this.#channel?.send(message.text ?? '')
      recipient.progressed(message.bytes)
      recipient.changed('sent', true)
    } catch (cause) {
      recipient.changed('failed', true)
      recipient.failed(new SwitchboardError('not-sent', 'The channel to the peer did not take the message: send less at a time.', cause))
    }
  }

  /** @param {Message} message */
  #unfit({ text, bytes }) {
    if (text === null) return new SwitchboardError('text-only', 'This peer takes plain text only.')
    if (bytes <= this.#maxMessageSize) return null
    return new SwitchboardError('too-large', `This peer takes texts of at most ${this.#maxMessageSize} bytes; this one has ${bytes}.`)
  }
}

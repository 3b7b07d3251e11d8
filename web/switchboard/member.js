//! What the module knows and does about one other member of the room: its link, the conversation over it, and whether it
//! is still there. Three witnesses speak of that: the server (`vouch`, `away`, `left`), the channel (`bye`, silence, its
//! end) and the connection's state. Whoever speaks first, the departure is told once; while the channel answers, the
//! server's doubts do not count; while the server vouches, a broken path is repaired and not taken for a departure.

import { FramedConversation, isFramed, PlainConversation } from './conversation.js'
import { Link } from './link.js'
import { Peer } from './peer.js'

/**
 * @typedef {import('./types.js').PeerState} PeerState
 * @typedef {import('./types.js').LeaveReason} LeaveReason
 * @typedef {import('./messages.js').MemberInfo} MemberInfo
 * @typedef {import('./message.js').Message} Message
 * @typedef {import('./outbox.js').Recipient} Recipient
 * @typedef {import('./conversation.js').Conversation} Conversation
 * @typedef {import('./link.js').Signal} Signal
 */

/**
 * What a member asks of its room.
 * @typedef {object} MemberListener
 * @property {() => RTCConfiguration} config
 * @property {(type: 'offer' | 'answer' | 'candidate', to: string, data: object) => boolean} signal
 * @property {(member: Member) => void} connection
 * @property {(member: Member, was: PeerState) => void} state
 * @property {(member: Member, reason: LeaveReason, byServer: boolean) => void} left
 * @property {(member: Member, message: import('./inbox.js').Delivered) => void} message
 * @property {(member: Member, id: string, received: number, total: number) => void} progress
 * @property {(member: Member, event: RTCTrackEvent) => void} track
 * @property {(member: Member, kind: string, text: string, detail?: object) => void} step
 * @property {(member: Member, error: import('./errors.js').SwitchboardError) => void} error
 */

/** Silence after which the peer is asked for a sign of life. */
const ASK_MS = 2000
/** Silence that means departure where the server does not vouch: two questions unanswered. A killed browser is noticed within 6 s. */
const GONE_MS = 4000
/** Silence that means a broken path where the server vouches: the page may just be busy. */
const BROKEN_MS = 15_000
/** How long an offer that is somebody else's turn is waited for. */
const TURN_MS = 4000
/** How long each attempt to connect gets: first, restart, then replacements of the connection. */
const ATTEMPT_MS = [8000, 8000, 12_000, 16_000, 30_000]
/** Between attempts, however clearly one has failed; and how long a path that stuttered may take to recover. */
const PAUSE_MS = 1000
const STUTTER_MS = 3000
/** The impolite side repairs first. */
const POLITE_MS = 1500

export class Member {
  peer
  /** @type {PeerState} */
  state = 'connecting'
  away = false
  /** Whether the server says that it is here. */
  vouched = true
  name
  dialect
  id
  #listener
  #polite
  #maxBytes
  /** @type {Link} */
  #link
  /** @type {Conversation} */
  #conversation
  /** @type {RTCDataChannel | null} The channel that the conversation is attached to. */
  #attached = null
  #silentMs = 0
  #attempt = 0
  #attemptMs = 0
  #sinceAttemptMs = 0
  /** @type {LeaveReason | null} The server's word, where the channel disagrees. */
  #verdict = null

  /**
   * @param {MemberInfo} info
   * @param {{ selfId: string, maxBytes: number }} self
   * @param {MemberListener} listener
   */
  constructor(info, { selfId, maxBytes }, listener) {
    this.id = info.id
    this.name = info.name
    this.dialect = info.dialect
    this.away = info.away
    this.vouched = !info.away
    this.#listener = listener
    this.#maxBytes = maxBytes
    this.#polite = !this.foreign && selfId < info.id
    this.peer = new Peer(this, [selfId, info.id].sort().map(id => id.slice(0, 6)).join('-'))
    this.#conversation = this.#converse(this.foreign)
    this.#link = this.#connect()
  }

  get foreign() {
    return this.dialect === 'socket.io'
  }

  get connection() {
    return this.#link.connection
  }

  get channel() {
    return this.#link.channel
  }

  /** Tells of the first connection, and offers where it is our turn. @param {boolean} offer */
  begin(offer) {
    this.#listener.connection(this)
    if (offer && this.state === 'connecting') this.#link.offer()
  }

  /**
   * Takes a signal that the server passed on.
   * @param {Signal} signal
   */
  receive(signal) {
    if (this.state !== 'left') this.#link.receive(signal)
  }

  /**
   * @param {Message} message
   * @param {Recipient} recipient
   */
  send(message, recipient) {
    this.#conversation.send(message, recipient)
  }

  /** The server says that the peer is here. */
  vouch() {
    this.vouched = true
    this.#verdict = null
    this.#setAway(false)
    this.#link.resend()
    if (!this.#works()) this.#hurry(this.#allowance() - PAUSE_MS)
  }

  /** The server says that the peer lost its socket. */
  lostSocket() {
    this.vouched = false
    this.#setAway(true)
    this.#conversation.ping()
    this.#unsupported()
  }

  /** There is no server to ask. */
  unvouch() {
    this.vouched = false
  }

  /**
   * The server says that the peer is no more in the room. While its channel answers, it is.
   * @param {LeaveReason} reason
   */
  serverLeft(reason) {
    const stays = reason !== 'left' && this.#works() && this.#silentMs < GONE_MS
    if (!stays) return this.leave(reason, true)
    this.#verdict = reason
    this.#listener.step(this, 'stays', 'The server has given the peer up; its channel still answers.')
    this.lostSocket()
  }

  /** The way through the server is open again. */
  signallingOpened() {
    this.#link.resend()
  }

  /** The network has changed: the path may be another one. */
  networkChanged() {
    this.#conversation.ping()
    if (!this.vouched) return
    if (this.#works()) this.#link.restart(this.#listener.config())
    else this.#hurry(Infinity)
  }

  /**
   * Time has passed.
   * @param {number} ms
   * @param {boolean} online
   */
  tick(ms, online) {
    this.#sinceAttemptMs += ms
    if (this.#attached && !this.#conversation.plain) this.#listen(ms, online)
    else if (!this.vouched && this.state === 'interrupted' && online) this.#fade(ms)
    if (this.state === 'left') return
    if (this.#works() && this.state === 'open') {
      this.#attempt = 0
      this.#attemptMs = 0
    } else if (this.vouched) {
      this.#attemptMs += ms
      if (this.#attemptMs >= this.#allowance() && this.#sinceAttemptMs >= PAUSE_MS) this.#escalate()
    }
  }

  /**
   * Ends everything with this peer and tells it, once.
   * @param {LeaveReason} reason
   * @param {boolean} byServer
   */
  leave(reason, byServer = false) {
    if (this.state === 'left') return
    this.#setState('left')
    this.#conversation.abandon()
    this.#link.close()
    this.#listener.left(this, reason, byServer)
  }

  /** Says goodbye over the channel; the room says it to the server. */
  farewell() {
    this.#conversation.bye()
  }

  /** @param {number} ms @param {boolean} online */
  #listen(ms, online) {
    this.#silentMs += ms
    if (this.#silentMs >= ASK_MS) this.#conversation.ping()
    if (!this.vouched && online && this.#silentMs >= GONE_MS) return this.leave(this.#verdict ?? 'gone')
    if (this.#silentMs >= BROKEN_MS) this.#setState('interrupted')
  }

  /** Without a channel and without the server's word there is nothing left to wait for. @param {number} ms */
  #fade(ms) {
    this.#silentMs += ms
    if (this.#silentMs >= GONE_MS) this.leave(this.#verdict ?? 'gone')
  }

  /** A peer that cannot be asked is judged by its connection. */
  #unsupported() {
    if (this.#conversation.plain && !this.vouched && this.state === 'interrupted') this.leave(this.#verdict ?? 'gone')
  }

  #works() {
    const { connectionState } = this.connection
    return this.#attached?.readyState === 'open' && connectionState !== 'failed' && connectionState !== 'disconnected'
  }

  #allowance() {
    const patience = this.#polite ? POLITE_MS : 0
    if (!this.#link.begun) return TURN_MS
    return (ATTEMPT_MS[this.#attempt] ?? 30_000) + patience
  }

  /** Lets an attempt count as this old. @param {number} ms */
  #hurry(ms) {
    this.#attemptMs = Math.max(this.#attemptMs, ms)
  }

  /** Tries to connect in the next stronger way. */
  #escalate() {
    this.#attemptMs = 0
    this.#sinceAttemptMs = 0
    if (!this.#link.begun) return this.#link.offer()
    this.#attempt++
    const ended = this.channel?.readyState === 'closed' || this.channel?.readyState === 'closing'
    if (this.foreign || ended || this.#attempt % 2 === 0 || this.#attempt > 3) this.#replace([])
    else this.#link.restart(this.#listener.config())
  }

  /**
   * Starts over with a new connection.
   * @param {Signal[]} pending  What the new one is to take; offers by itself where there is nothing.
   */
  #replace(pending) {
    this.#listener.step(this, 'replaced', 'Starting over with a new connection.')
    this.#link.close()
    this.#detach()
    this.#link = this.#connect()
    this.#listener.connection(this)
    if (this.state === 'left') return
    if (pending.length > 0) this.#link.receive(...pending)
    else this.#link.offer()
  }

  #connect() {
    /** @type {(act: () => void) => void} */
    const current = act => { if (this.#link === link && this.state !== 'left') act() }
    const link = new Link({ config: this.#listener.config(), polite: this.#polite, foreign: this.foreign }, {
      send: (type, data) => this.#listener.signal(type, this.id, data),
      replaced: pending => current(() => this.#replace(pending)),
      changed: () => current(() => this.#linkChanged()),
      track: event => current(() => this.#listener.track(this, event)),
      step: (kind, text, detail) => this.#listener.step(this, kind, text, detail),
      error: error => this.#listener.error(this, error),
    })
    return link
  }

  #linkChanged() {
    const { channel, connection } = this.#link
    if (channel?.readyState === 'open' && this.#attached !== channel) this.#attach(channel)
    if (this.#attached && this.#attached.readyState !== 'open' && this.#attached.readyState !== 'connecting') this.#detach()
    const { connectionState } = connection
    if (this.#works()) return this.#setState('open')
    if (this.state === 'open') this.#setState('interrupted')
    if (connectionState === 'disconnected') {
      this.#conversation.ping()
      this.#hurry(this.#allowance() - STUTTER_MS)
    }
    if (connectionState === 'failed' || connectionState === 'closed') this.#hurry(Infinity)
    this.#unsupported()
  }

  /** @param {RTCDataChannel} channel */
  #attach(channel) {
    this.#attached = channel
    this.#silentMs = 0
    const plain = !isFramed(channel)
    if (plain !== this.#conversation.plain) {
      this.#conversation.abandon()
      this.#conversation = this.#converse(plain)
    }
    this.#conversation.attach(channel, this.connection.sctp?.maxMessageSize ?? 65_536)
  }

  #detach() {
    if (!this.#attached) return
    this.#attached = null
    this.#silentMs = 0
    this.#conversation.detach()
    if (this.state === 'open') this.#setState('interrupted')
    // The server tells in a moment if the peer has closed its page; else the connection is to be made again.
    this.#hurry(this.#allowance() - PAUSE_MS)
  }

  /**
   * @param {boolean} plain
   * @returns {Conversation}
   */
  #converse(plain) {
    const listener = this.#listener
    return new (plain ? PlainConversation : FramedConversation)(this.#maxBytes, {
      heard: () => this.#heard(),
      message: message => listener.message(this, message),
      progress: (id, received, total) => listener.progress(this, id, received, total),
      bye: () => this.leave('left'),
      error: error => listener.error(this, error),
    })
  }

  #heard() {
    this.#silentMs = 0
    if (this.state === 'interrupted' && this.#works()) this.#setState('open')
  }

  /** @param {PeerState} state */
  #setState(state) {
    const was = this.state
    if (was === state || was === 'left') return
    this.state = state
    this.#listener.state(this, was)
  }

  /** @param {boolean} away */
  #setAway(away) {
    if (this.away === away) return
    this.away = away
    this.#listener.step(this, away ? 'away' : 'back', away ? 'The peer has lost its way to the server.' : 'The peer has its way to the server again.')
  }
}

//! One other member of the room: its link, the conversation over it, and whether it is still there. Server, channel (`bye`,
//! silence, its end) and connection speak of that. Whoever is first, a departure is told once; while the channel answers,
//! the server's doubts do not count; while the server vouches, a broken path is repaired.

import { FramedConversation, isFramed, PlainConversation } from './channel.js'
import { Link } from './link.js'

/** @import { Conversation, Data, Delivering, Host, LeaveReason, MemberInfo, Path, PeerState, SendOptions, Signal } from './types.js' */
/** @import { Message } from './room.js' */

/** Silence after which the peer is asked for a sign of life. */
const ASK_MS = 2000
/** Silence that means departure where the server does not vouch: a killed browser is noticed within 6 s. */
const GONE_MS = 4000
/** Silence that means a broken path where the server vouches: the page may just be busy. */
const BROKEN_MS = 15_000
/** How long an offer that is the peer's turn is waited for. */
const TURN_MS = 4000
/** How long each attempt to connect gets. */
const ATTEMPT_MS = [8000, 8000, 12_000, 16_000, 30_000]
/** Between attempts, however clearly one has failed. */
const PAUSE_MS = 1000
/** How long a path that stutters may take to recover. */
const STUTTER_MS = 3000
/** The impolite side repairs first. */
const POLITE_MS = 1500

export class Member {
  peer
  /** @type {PeerState} */
  state = 'connecting'
  away
  /** Whether the server says that it is here. */
  vouched
  name
  dialect
  id
  host
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
  /** @type {LeaveReason} What to say should the channel fall silent. */
  #verdict = 'gone'

  /** @param {MemberInfo} info @param {string} selfId @param {number} maxBytes @param {Host} host */
  constructor({ id, name, dialect, away }, selfId, maxBytes, host) {
    this.id = id
    this.name = name
    this.dialect = dialect
    this.away = away
    this.vouched = !away
    this.host = host
    this.#maxBytes = maxBytes
    this.#polite = !this.foreign && selfId < id
    this.peer = new Peer(this, [selfId, id].sort().map(id => id.slice(0, 6)).join('-'))
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

  /** @param {boolean} offer  Whether it is our turn. */
  begin(offer) {
    this.host.emit('connection', { peer: this.peer, connection: this.connection })
    if (offer && this.state !== 'left') this.#link.offer()
  }

  /** @param {Signal} signal */
  receive(signal) {
    this.#link.receive(signal)
  }

  /** @param {Message} message @param {Delivering} recipient */
  send(message, recipient) {
    this.#conversation.send(message, recipient)
  }

  vouch() {
    this.vouched = true
    this.#verdict = 'gone'
    this.#setAway(false)
    this.#link.resend()
    if (!this.#works()) this.#hurry(PAUSE_MS)
  }

  /** So says the server. */
  lostSocket() {
    this.vouched = false
    this.#setAway(true)
    this.#conversation.ping()
    this.#judgePlain()
  }

  /** Our own way to the server is lost: the silence until now may have been our network's. */
  cutOff() {
    if (this.vouched) this.#silentMs = 0
    this.vouched = false
  }

  /** The server says that the peer is no more in the room. While its channel answers, it is. @param {LeaveReason} reason */
  serverLeft(reason) {
    if (reason === 'left' || !this.#works() || this.#silentMs >= GONE_MS) return this.leave(reason, true)
    this.#verdict = reason
    this.step('stays', 'The server gave the peer up; its channel answers.')
    this.lostSocket()
  }

  /** The server does not list the peer (any more, or yet). */
  unlisted() {
    this.vouched = false
    if (this.state === 'connecting') this.leave('lost', true)
  }

  /** The network has changed: the path may be another one. */
  networkChanged() {
    this.#conversation.ping()
    if (!this.#works()) this.#hurry(0)
    else if (this.vouched) this.#link.restart(this.host.config())
  }

  /**
   * Gathers in another way from now on, and leaves a path that depends on what was before.
   * @param {RTCConfiguration} config
   * @param {boolean} always  Leaves any path; else those through a relay of ours, whose credentials come to an end.
   */
  async configure(config, always) {
    const link = this.#link
    link.configure(config)
    if (!link.begun || !always && (await this.peer.path())?.local !== 'relay' || link !== this.#link || this.state === 'left') return
    // A restart would stay with the direct path for as long as it works.
    if (this.foreign || always && config.iceTransportPolicy === 'relay') this.#replace([])
    else link.restart(config)
  }

  /** Time has passed. @param {number} ms @param {boolean} online */
  tick(ms, online) {
    this.#sinceAttemptMs += ms
    const heard = this.#attached !== null && !this.#conversation.plain
    if (heard || (this.state === 'interrupted' && !this.vouched)) this.#silentMs += ms
    if (this.#silentMs >= ASK_MS) this.#conversation.ping()
    if (!this.vouched && online && this.#silentMs >= GONE_MS) return this.leave(this.#verdict)
    if (this.#silentMs >= BROKEN_MS) this.#setState('interrupted')
    if (this.#works() && this.state === 'open') this.#attempt = this.#attemptMs = 0
    else if (this.vouched) {
      this.#attemptMs += ms
      if (this.#attemptMs >= this.#allowance() && this.#sinceAttemptMs >= PAUSE_MS) this.#escalate()
    }
  }

  /** Ends everything with this peer and tells it, once. @param {LeaveReason} reason @param {boolean} [byServer] */
  leave(reason, byServer = false) {
    if (this.state === 'left') return
    this.#setState('left')
    this.#conversation.abandon()
    this.#link.close()
    this.host.left(this, reason, byServer)
  }

  farewell() {
    this.#conversation.bye()
  }

  /** @param {string} kind @param {string} text @param {object} [detail] */
  step(kind, text, detail) {
    this.host.emit('step', { time: new Date(), peer: this.peer, kind, text, ...detail && { detail } })
  }

  /** A plain peer cannot be asked: its connection speaks for it. */
  #judgePlain() {
    if (this.#conversation.plain && !this.vouched && this.state === 'interrupted') this.leave(this.#verdict)
  }

  #works() {
    return this.#attached?.readyState === 'open' && !['failed', 'disconnected'].includes(this.connection.connectionState)
  }

  #allowance() {
    if (!this.#link.begun) return TURN_MS
    return (ATTEMPT_MS[this.#attempt] ?? 30_000) + (this.#polite ? POLITE_MS : 0)
  }

  /** Leaves the present attempt so long. @param {number} ms */
  #hurry(ms) {
    this.#attemptMs = Math.max(this.#attemptMs, this.#allowance() - ms)
  }

  /** Tries to connect in the next stronger way: a late offer, another path, another connection. */
  #escalate() {
    this.#attemptMs = this.#sinceAttemptMs = 0
    if (!this.#link.begun) return this.#link.offer()
    this.#attempt++
    const ended = /^clos/.test(this.channel?.readyState ?? '')
    if (this.foreign || ended || this.#attempt % 2 === 0 || this.#attempt > 3) this.#replace([])
    else this.#link.restart(this.host.config())
  }

  /** Starts over with a new connection. @param {Signal[]} pending  What it is to take; it offers where there is nothing. */
  #replace(pending) {
    this.step('replaced', 'Starting over with a new connection.')
    this.#link.close()
    this.#detach()
    this.#link = this.#connect()
    this.begin(pending.length === 0)
    this.#link.receive(...pending)
  }

  #connect() {
    /** @param {() => void} act  For a link that is not the past. */
    const current = act => { if (this.#link === link && this.state !== 'left') act() }
    const { host, peer } = this
    const link = new Link({ config: host.config(), polite: this.#polite, foreign: this.foreign }, {
      send: (type, data) => host.signal(type, this.id, data),
      replaced: pending => current(() => this.#replace(pending)),
      changed: () => current(() => this.#linkChanged()),
      track: ({ track, streams }) => host.emit('track', { peer, track, streams }),
      step: (kind, text, detail) => this.step(kind, text, detail),
      error: error => host.emit('error', { error }),
    })
    return link
  }

  #linkChanged() {
    const { channel, connection: { connectionState } } = this
    if (channel?.readyState === 'open' && this.#attached !== channel) this.#attach(channel)
    if (this.#attached && /^clos/.test(this.#attached.readyState)) this.#detach()
    if (this.#works()) return this.#setState('open')
    if (this.state === 'open') this.#setState('interrupted')
    if (connectionState === 'disconnected') {
      this.#conversation.ping()
      this.#hurry(STUTTER_MS)
    }
    if (connectionState === 'failed' || connectionState === 'closed') this.#hurry(0)
    this.#judgePlain()
  }

  /** @param {RTCDataChannel} channel */
  #attach(channel) {
    this.#attached = channel
    this.#silentMs = 0
    if (isFramed(channel) === this.#conversation.plain) {
      this.#conversation.abandon()
      this.#conversation = this.#converse(!isFramed(channel))
    }
    this.#conversation.attach(channel, this.connection.sctp?.maxMessageSize ?? 65_536)
  }

  #detach() {
    if (!this.#attached) return
    this.#attached = null
    this.#silentMs = 0
    this.#conversation.detach()
    if (this.state === 'open') this.#setState('interrupted')
    // Has the peer closed its page, the server says so in a moment.
    this.#hurry(PAUSE_MS)
  }

  /** @param {boolean} plain @returns {Conversation} */
  #converse(plain) {
    const { host: { emit }, peer } = this
    return new (plain ? PlainConversation : FramedConversation)(this.#maxBytes, {
      heard: () => {
        this.#silentMs = 0
        if (this.#works()) this.#setState('open')
      },
      message: (id, data, at) => emit('message', { peer, data, id, sentAt: date(at), receivedAt: new Date(), binary: typeof data !== 'string' }),
      progress: (id, received, total) => emit('progress', { peer, id, received, total }),
      bye: () => this.leave('left'),
      error: error => emit('error', { error }),
    })
  }

  /** @param {PeerState} state */
  #setState(state) {
    const was = this.state
    if (was === state || was === 'left') return
    this.state = state
    this.host.emit('peerstate', { peer: this.peer, state, was })
  }

  /** @param {boolean} away */
  #setAway(away) {
    if (this.away === away) return
    this.away = away
    this.step(away ? 'away' : 'back', `The peer has ${away ? 'lost' : 'found'} its way to the server.`)
  }
}

/** @param {number} at  By the peer's clock, which says what it likes. */
function date(at) {
  const time = new Date(at)
  return Number.isNaN(time.getTime()) ? null : time
}

/** Another member of the room, as the user of the module sees it. */
export class Peer {
  #member
  #traceId

  /** @param {Member} member @param {string} traceId */
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

  get dialect() {
    return this.#member.dialect
  }

  get state() {
    return this.#member.state
  }

  /** Whether the peer has lost its way to the server. */
  get away() {
    return this.#member.away
  }

  /** For tracks and channels of one's own. Beyond repair it is replaced: the room's event `connection` tells. */
  get connection() {
    return this.#member.connection
  }

  /** The channel that messages take. */
  get channel() {
    return this.#member.channel
  }

  /** The same on both sides, for comparing their timelines. */
  get traceId() {
    return this.#traceId
  }

  /** Sends to this peer alone; see `Room.send`. @param {Data} data @param {Omit<SendOptions, 'to'>} [options] */
  send(data, options) {
    return this.#member.host.send(data, { ...options, to: this })
  }

  /** How the two reach each other, if they do. @returns {Promise<Path | null>} */
  async path() {
    if (this.connection.connectionState === 'closed') return null
    /** @type {Map<string, any>} */
    const reports = new Map(/** @type {any} */ (await this.connection.getStats()))
    const all = [...reports.values()]
    // Chromium names the pair at the transport; Firefox marks the pair itself.
    const pair = reports.get(all.find(({ selectedCandidatePairId }) => selectedCandidatePairId)?.selectedCandidatePairId)
      ?? all.find(({ type, selected }) => type === 'candidate-pair' && selected)
    const local = reports.get(pair?.localCandidateId)
    const remote = reports.get(pair?.remoteCandidateId)
    if (!local || !remote) return null
    const [from, to] = [local, remote].map(endpoint)
    const { candidateType, protocol, relayProtocol } = local
    const { currentRoundTripTime, bytesSent = 0, bytesReceived = 0 } = pair
    return {
      kind: candidateType === 'relay' || remote.candidateType === 'relay' ? 'relayed' : 'direct',
      local: candidateType,
      remote: remote.candidateType,
      protocol,
      rttMs: currentRoundTripTime === undefined ? null : currentRoundTripTime * 1000,
      bytesSent,
      bytesReceived,
      ...relayProtocol && { relayProtocol },
      ...from && { localAddress: from },
      ...to && { remoteAddress: to },
    }
  }
}

/** @param {{ address?: string, port?: number }} candidate */
const endpoint = ({ address, port }) => address?.includes(':') ? `[${address}]:${port}` : address && `${address}:${port}`

//! One `RTCPeerConnection` and its negotiation with its counterpart: perfect negotiation (who gives way when both offer is
//! `polite`), candidates in order, one data channel. It knows nothing of rooms and messages, and never decides to try
//! again: its member does. A connection that is beyond repair is not repaired but replaced by a new link.
//!
//! Descriptions carry more than the browser needs (docs/protocol/channel.md, *Descriptions*): `link` names the sender's
//! connection, `to` the one it takes the receiver to have, `offer` pairs an answer with its offer. So nothing of an
//! earlier connection is ever applied to a later one. Peers that send none of it are told apart by their fingerprint.

import { SwitchboardError } from './errors.js'
import { isFramed } from './conversation.js'
import { LABEL, PROTOCOL } from './frames.js'
import { randomId } from './ids.js'

/**
 * @typedef {'offer' | 'answer' | 'candidate'} SignalType
 * @typedef {{ type: SignalType, data: unknown }} Signal
 * @typedef {Record<string, unknown>} Fields
 */

/**
 * @typedef {object} LinkListener
 * @property {(type: SignalType, data: object) => boolean} send  To the peer, through the server; false where there is no way now.
 * @property {(pending: Signal[]) => void} replaced  The counterpart is another connection now: make a new link, give it these.
 * @property {() => void} changed  The connection's state or the channel.
 * @property {(event: RTCTrackEvent) => void} track
 * @property {(kind: string, text: string, detail?: object) => void} step
 * @property {(error: SwitchboardError) => void} error
 */

/**
 * @typedef {object} LinkOptions
 * @property {RTCConfiguration} config
 * @property {boolean} polite
 * @property {boolean} foreign  A `socket.io` peer: it makes a new connection for each offer, and so is never renegotiated with.
 */

/** The label that peers of the rooms sample give their channel. */
const FOREIGN_LABEL = 'my-rtc-chat'
/** Candidates that wait for a description, or for the way to the peer. A browser gathers a dozen. */
const HELD = 128
/** Signals that wait to be taken; the server passes on fewer a second. */
const PENDING = 256
/** Characters of a session description; the server's frames hold no more. */
const SDP = 65_536

export class Link {
  id = randomId()
  connection
  /** @type {RTCDataChannel | null} The one that messages take. */
  channel = null
  #options
  #listener
  /** @type {string | null} The counterpart, once a description of it was applied. */
  #remote = null
  /** @type {string | null} The offer that waits for its answer. */
  #offer = null
  /** @type {Signal[]} */
  #pending = []
  #taking = false
  #making = false
  #ignoring = false
  #offering = false
  #skipped = false
  #described = false
  #closed = false
  /** @type {RTCIceCandidateInit[]} */
  #theirs = []
  /** @type {object[]} */
  #ours = []

  /**
   * @param {LinkOptions} options
   * @param {LinkListener} listener
   */
  constructor(options, listener) {
    this.#options = options
    this.#listener = listener
    const connection = this.connection = new RTCPeerConnection(options.config)
    connection.onnegotiationneeded = () => this.#run(this.#negotiate())
    connection.onicecandidate = ({ candidate }) => { if (candidate) this.#candidate(candidate) }
    connection.onicecandidateerror = event => this.#candidateError(event)
    connection.ondatachannel = ({ channel }) => this.#offered(channel)
    connection.ontrack = event => listener.track(event)
    connection.onicegatheringstatechange = () => this.#state('gathering', connection.iceGatheringState)
    connection.oniceconnectionstatechange = () => this.#state('ice', connection.iceConnectionState)
    connection.onsignalingstatechange = () => this.#state('negotiation', connection.signalingState)
    connection.onconnectionstatechange = () => {
      this.#state('connection', connection.connectionState)
      listener.changed()
    }
  }

  /** Whether there is a counterpart, or an offer to one. */
  get begun() {
    return this.#offering || this.#remote !== null
  }

  /** Makes the first offer. The channel comes before it, for later it would take a second one. */
  offer() {
    if (this.begun) return
    this.#offering = true
    const { foreign } = this.#options
    this.#use(foreign ? this.connection.createDataChannel(FOREIGN_LABEL) : this.connection.createDataChannel(LABEL, { protocol: PROTOCOL }))
    // The browser asks once only, and was told to wait.
    if (this.#skipped) this.#run(this.#negotiate())
  }

  /**
   * Takes a signal of the peer, after those before it.
   * @param {...Signal} signals
   */
  receive(...signals) {
    if (this.#pending.length + signals.length > PENDING) {
      return this.#listener.error(new SwitchboardError('flood', 'A peer sends negotiation messages faster than they can be taken; some were ignored.'))
    }
    this.#pending.push(...signals)
    if (!this.#taking) void this.#take()
  }

  /**
   * Looks for another path for the same connection.
   * @param {RTCConfiguration} config  With fresh credentials.
   */
  restart(config) {
    if (this.#closed || this.#options.foreign) return
    try {
      this.connection.setConfiguration({ ...this.connection.getConfiguration(), ...config })
    } catch {
      // The browser does not let them change: the old ones may still do.
    }
    this.#listener.step('ice-restart', 'Looking for another path.')
    this.connection.restartIce()
    this.resend()
  }

  /** Sends again what may have been lost on its way through the server. */
  resend() {
    if (this.#closed || !this.#described) return
    if (this.connection.signalingState === 'have-local-offer' && !this.#making) this.#describe()
    for (const candidate of this.#ours.splice(0)) this.#sendCandidate(candidate)
  }

  close() {
    this.#closed = true
    const { connection, channel } = this
    connection.onnegotiationneeded = connection.onicecandidate = connection.onicecandidateerror = connection.ondatachannel = null
    connection.ontrack = connection.onicegatheringstatechange = connection.oniceconnectionstatechange = null
    connection.onsignalingstatechange = connection.onconnectionstatechange = null
    if (channel) release(channel)
    connection.close()
  }

  async #take() {
    this.#taking = true
    for (let signal = this.#pending.shift(); signal && !this.#closed; signal = this.#pending.shift()) {
      try {
        const { type, data } = signal
        if (typeof data !== 'object' || data === null) throw new TypeError(`Its ${type} is not an object.`)
        if (type === 'candidate') await this.#takeCandidate(/** @type {Fields} */ (data))
        else await this.#takeDescription(type, /** @type {Fields} */ (data))
      } catch (cause) {
        this.#complain(`A peer sent a bad ${signal.type}, which was ignored.`, cause)
      }
    }
    this.#taking = false
  }

  /**
   * @param {'offer' | 'answer'} type
   * @param {Fields} data
   */
  async #takeDescription(type, data) {
    const { sdp } = data
    if (typeof sdp !== 'string' || sdp.length > SDP) throw new TypeError(`Its ${type} has no “sdp” that could be taken.`)
    const from = sender(data, sdp)
    const { step } = this.#listener
    step(`${type}-received`, `Received ${ARTICLE[type]}.`, { type, sdp })
    if (this.#stale(type, data)) return step(`${type}-ignored`, `This ${type} belongs to a connection that is no more.`)
    if (this.#remote !== null && (this.#remote !== from || (type === 'offer' && this.#options.foreign))) {
      this.#closed = true
      return this.#listener.replaced(type === 'offer' ? [{ type, data }, ...this.#pending] : [])
    }
    if (type === 'offer') await this.#takeOffer(sdp, from, data['offer'])
    else await this.#takeAnswer(sdp, from)
  }

  /**
   * @param {'offer' | 'answer'} type
   * @param {Fields} data
   */
  #stale(type, data) {
    if (type === 'offer') return data['to'] !== undefined && data['to'] !== this.id
    return this.connection.signalingState !== 'have-local-offer' || (data['offer'] !== undefined && data['offer'] !== this.#offer)
  }

  /**
   * @param {string} sdp
   * @param {string} from
   * @param {unknown} offer
   */
  async #takeOffer(sdp, from, offer) {
    const { connection } = this
    const collision = this.#making || connection.signalingState !== 'stable'
    this.#ignoring = collision && !this.#options.polite
    if (this.#ignoring) return this.#listener.step('offer-ignored', 'Both offered at once; the other one gives way.')
    if (collision) {
      this.#listener.step('offer-withdrawn', 'Both offered at once; this one gives way.')
      this.#dropOwnChannel()
    }
    await connection.setRemoteDescription({ type: 'offer', sdp })
    this.#bind(from)
    await this.#addHeld()
    await connection.setLocalDescription()
    this.#answer(offer)
  }

  /**
   * @param {string} sdp
   * @param {string} from
   */
  async #takeAnswer(sdp, from) {
    await this.connection.setRemoteDescription({ type: 'answer', sdp })
    this.#bind(from)
    this.#offer = null
    await this.#addHeld()
  }

  /** @param {string} from */
  #bind(from) {
    this.#remote = from
    this.#ignoring = false
  }

  /** @param {Fields} data */
  async #takeCandidate(data) {
    const { candidate, link } = data
    if (typeof candidate !== 'string' || candidate.length > 4096) throw new TypeError('Its “candidate” is no short text.')
    this.#listener.step('candidate-received', candidate || 'The peer has no more candidates.', { candidate })
    if (link !== undefined && this.#remote !== null && link !== this.#remote) return
    const { sdpMid, sdpMLineIndex, usernameFragment } = data
    const init = /** @type {RTCIceCandidateInit} */ ({ candidate, sdpMid, sdpMLineIndex, usernameFragment })
    if (this.connection.remoteDescription) return this.#add(init)
    if (this.#ignoring || this.#theirs.length >= HELD) return
    this.#theirs.push(init)
  }

  async #addHeld() {
    for (const candidate of this.#theirs.splice(0)) await this.#add(candidate)
  }

  /** @param {RTCIceCandidateInit} candidate */
  async #add(candidate) {
    try {
      await this.connection.addIceCandidate(candidate)
    } catch (cause) {
      // A candidate of an offer that was ignored, or of a generation that a restart has ended, has nowhere to go.
      if (cause instanceof TypeError || !(this.#ignoring || candidate.usernameFragment)) this.#complain('A peer sent a candidate that cannot be used.', cause)
    }
  }

  async #negotiate() {
    const { connection } = this
    const { foreign } = this.#options
    if (foreign && (this.#described || !this.#offering)) {
      return this.#listener.step('offer-withheld', 'This peer cannot renegotiate; what was added is not sent to it.')
    }
    // Who waits for the first offer says in its answer what else it wants, or offers afterwards.
    if (!this.begun) {
      this.#skipped = true
      return
    }
    this.#making = true
    try {
      await connection.setLocalDescription()
    } finally {
      this.#making = false
    }
    if (this.#closed || connection.localDescription?.type !== 'offer') return
    this.#offer = randomId()
    this.#describe()
  }

  /** Sends the offer that stands. */
  #describe() {
    const description = this.connection.localDescription
    if (description?.type !== 'offer') return
    this.#send('offer', description.sdp, { link: this.id, offer: this.#offer, ...this.#remote !== null && !this.#options.foreign && { to: this.#remote } })
  }

  /** @param {unknown} offer  Which one it answers. */
  #answer(offer) {
    const description = this.connection.localDescription
    if (this.#closed || description?.type !== 'answer') return
    this.#send('answer', description.sdp, { link: this.id, offer })
  }

  /**
   * @param {'offer' | 'answer'} type
   * @param {string} sdp
   * @param {object} more
   */
  #send(type, sdp, more) {
    const sent = this.#listener.send(type, { type, sdp, ...!this.#options.foreign && more })
    this.#listener.step(`${type}-${sent ? 'sent' : 'held'}`, sent ? `Sent ${ARTICLE[type]}.` : `No way to send ${ARTICLE[type]} now.`, { type, sdp })
    this.#described = true
    for (const candidate of this.#ours.splice(0)) this.#sendCandidate(candidate)
  }

  /** @param {RTCIceCandidate} candidate */
  #candidate(candidate) {
    const data = { ...candidate.toJSON(), ...!this.#options.foreign && { link: this.id } }
    if (this.#described) this.#sendCandidate(data)
    else this.#hold(data)
  }

  /** @param {{ candidate?: string }} data */
  #sendCandidate(data) {
    const sent = this.#listener.send('candidate', data)
    if (!sent) this.#hold(data)
    this.#listener.step(`candidate-${sent ? 'sent' : 'held'}`, data.candidate || 'No more candidates.', data)
  }

  /** @param {object} candidate */
  #hold(candidate) {
    if (this.#ours.length < HELD) this.#ours.push(candidate)
  }

  /** @param {RTCPeerConnectionIceErrorEvent} event */
  #candidateError({ url, errorCode, errorText }) {
    this.#listener.step('candidate-error', `${url}: ${errorText || 'no answer'} (${errorCode})`)
  }

  /**
   * A channel that the peer made.
   * @param {RTCDataChannel} channel
   */
  #offered(channel) {
    const framed = isFramed(channel)
    const known = this.channel !== null && this.channel.readyState !== 'closed'
    this.#listener.step('channel-received', `The peer opened the channel “${channel.label}”${channel.protocol && ` (${channel.protocol})`}.`)
    if (!known) return this.#use(channel)
    // Others may be the application's own; a second one of ours has no use.
    if (framed) channel.close()
  }

  /** @param {RTCDataChannel} channel */
  #use(channel) {
    this.channel = channel
    channel.onopen = () => this.#channelChanged(channel, 'open')
    channel.onclose = () => this.#channelChanged(channel, 'closed')
    channel.onclosing = () => this.#channelChanged(channel, 'closing')
    if (channel.readyState === 'open') this.#channelChanged(channel, 'open')
  }

  /**
   * @param {RTCDataChannel} channel
   * @param {string} state
   */
  #channelChanged(channel, state) {
    this.#state('channel', state)
    if (this.channel === channel) this.#listener.changed()
  }

  /** Gives way with the channel too, so that there is one and not two. */
  #dropOwnChannel() {
    const { channel } = this
    if (channel?.readyState !== 'connecting') return
    release(channel)
    channel.close()
    this.channel = null
  }

  /**
   * @param {string} what
   * @param {string} state
   */
  #state(what, state) {
    if (!this.#closed) this.#listener.step(`${what}-state`, `${what[0]?.toUpperCase()}${what.slice(1)}: ${state}.`)
  }

  /** @param {Promise<void>} work */
  #run(work) {
    work.catch(cause => this.#complain('The browser could not negotiate.', cause))
  }

  /**
   * @param {string} message
   * @param {unknown} cause
   */
  #complain(message, cause) {
    if (this.#closed) return
    this.#listener.error(new SwitchboardError('negotiation', cause instanceof Error ? `${message} ${cause.message}` : message, cause))
  }
}

const ARTICLE = { offer: 'an offer', answer: 'an answer' }

/** @param {RTCDataChannel} channel */
function release(channel) {
  channel.onopen = channel.onclose = channel.onclosing = channel.onmessage = channel.onbufferedamountlow = null
}

/**
 * What tells one connection of a peer from the next.
 * @param {Fields} data
 * @param {string} sdp
 */
function sender({ link }, sdp) {
  if (typeof link === 'string' && link.length <= 64) return link
  return /^a=fingerprint:(\S+ \S+)/m.exec(sdp)?.[1] ?? ''
}

//! One `RTCPeerConnection`: perfect negotiation, candidates in order, one data channel (docs/protocol/channel.md).

import { isFramed } from './channel.js'
import { PROTOCOL, randomId, SwitchboardError } from './wire.js'

/** @import { Fields, LinkListener, LinkOptions, Signal } from './types.js' */

/** Candidates that wait; a browser gathers a dozen. */
const HELD = 128
/** Signals that wait to be taken. */
const PENDING = 256
/** Characters of a description. */
const SDP = 65_536
/** Chromium may lose what it sends on its peer's channel before it hears something there. */
const EARLY_MS = 500

export class Link {
  id = randomId()
  connection
  /** @type {RTCDataChannel | null} The one that messages take. */
  channel = null
  #options
  #config
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
  /** @type {RTCIceCandidateInit[]} */
  #theirs = []
  /** @type {object[]} */
  #ours = []
  #end = new AbortController()

  /** @param {LinkOptions} options @param {LinkListener} listener */
  constructor(options, listener) {
    this.#options = options
    this.#config = options.config
    this.#listener = listener
    this.connection = this.#connect()
    const { connection } = this
    const { signal } = this.#end
    connection.addEventListener('negotiationneeded', () => this.#negotiate(), { signal })
    connection.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate) this.#sendCandidate({ ...candidate.toJSON(), ...this.#mark({}) })
    }, { signal })
    connection.addEventListener('icecandidateerror', ({ url, errorCode, errorText }) =>
      listener.step('candidate-error', `${url}: ${errorText || 'no answer'} (${errorCode})`), { signal })
    connection.addEventListener('datachannel', ({ channel }) => this.#offered(channel), { signal })
    connection.addEventListener('track', event => listener.track(event), { signal })
    for (const state of /** @type {const} */ (['iceGatheringState', 'iceConnectionState', 'signalingState', 'connectionState'])) {
      connection.addEventListener(state.toLowerCase() + 'change', () => {
        listener.step(state, `${state}: ${connection[state]}`)
        listener.changed()
      }, { signal })
    }
  }

  #connect() {
    const config = this.#config
    try {
      return new RTCPeerConnection(config)
    } catch (cause) {
      this.#complain('The ICE servers cannot be used.', cause)
      return new RTCPeerConnection({ ...config, iceServers: [] })
    }
  }

  /** Whether there is a counterpart, or an offer to one. */
  get begun() {
    return this.#offering || this.#remote !== null
  }

  get #closed() {
    return this.#end.signal.aborted
  }

  /** Makes the first offer, with the channel in it. */
  offer() {
    if (this.begun) return
    this.#offering = true
    const { connection } = this
    this.#use(this.#options.foreign ? connection.createDataChannel('my-rtc-chat') : connection.createDataChannel('switchboard', { protocol: PROTOCOL }))
    // The browser asks once only, and was told to wait.
    if (this.#skipped) void this.#negotiate()
  }

  /** Takes signals of the peer, after those before them. @param {...Signal} signals */
  receive(...signals) {
    if (this.#pending.length + signals.length > PENDING) return this.#complain('A peer sends too many signals; some were ignored.')
    this.#pending.push(...signals)
    if (!this.#taking) void this.#take()
  }

  /** Has later candidates gathered so, and lets nothing out any more that it forbids. @param {RTCConfiguration} config */
  configure(config) {
    if (this.#closed) return
    this.#config = config
    const { connection } = this
    const { iceTransportPolicy = 'all' } = config
    try {
      connection.setConfiguration({ ...connection.getConfiguration(), ...config })
    } catch (cause) {
      this.#complain('The ICE servers cannot be used.', cause)
      connection.setConfiguration({ ...connection.getConfiguration(), iceTransportPolicy })
    }
  }

  /** Looks for another path for the same connection. @param {RTCConfiguration} config  With fresh credentials. */
  restart(config) {
    if (this.#closed || this.#options.foreign) return
    this.configure(config)
    this.#listener.step('ice-restart', 'Looking for another path.')
    this.connection.restartIce()
    this.resend()
  }

  /** Sends again what may have been lost on its way through the server. */
  resend() {
    if (this.#closed || !this.#described) return
    if (this.connection.signalingState === 'have-local-offer' && !this.#making) this.#describe('offer', this.#offer)
    else this.#sendHeld()
  }

  close() {
    this.#end.abort()
    this.connection.close()
  }

  async #take() {
    this.#taking = true
    for (let signal = this.#pending.shift(); signal && !this.#closed; signal = this.#pending.shift()) {
      const { type } = signal
      try {
        const data = /** @type {Fields} */ (Object(signal.data))
        if (type === 'candidate') await this.#takeCandidate(data)
        else await this.#takeDescription(type, data)
      } catch (cause) {
        this.#complain(`A peer sent a bad ${type}, which was ignored.`, cause)
      }
    }
    this.#taking = false
  }

  /** @param {'offer' | 'answer'} type @param {Fields} data */
  async #takeDescription(type, data) {
    const { connection } = this
    const { step, replaced } = this.#listener
    const { sdp, to, offer } = data
    if (typeof sdp !== 'string' || sdp.length > SDP) throw new TypeError('It has no “sdp”.')
    step(`${type}-received`, `Received the ${type}.`, { sdp })
    const awaited = connection.signalingState === 'have-local-offer'
    const stale = type === 'offer' ? to !== undefined && to !== this.id : !awaited || (offer !== undefined && offer !== this.#offer)
    if (stale) return step(`${type}-ignored`, `The ${type} is out of date.`)
    const from = sender(data, sdp)
    const collision = type === 'offer' && (this.#making || connection.signalingState !== 'stable')
    const other = this.#remote !== null && (this.#remote !== from || this.#options.foreign)
    this.#ignoring = collision && !other && !this.#options.polite
    if (this.#ignoring) return step('offer-ignored', 'Both offered at once: the other gives way.')
    if (collision) step('offer-withdrawn', 'Both offered at once: this one gives way.')
    // A first offer is not rolled back: one in five times Chromium then gathers no candidates, ever.
    if (other || (collision && this.#remote === null)) {
      this.#end.abort()
      return replaced(type === 'offer' ? [{ type, data }, ...this.#pending] : [])
    }
    await connection.setRemoteDescription({ type, sdp })
    this.#remote = from
    for (const candidate of this.#theirs.splice(0)) await this.#add(candidate)
    if (type === 'answer') return
    await connection.setLocalDescription()
    this.#describe('answer', offer)
  }

  /** @param {Fields} data */
  async #takeCandidate({ candidate, link, sdpMid, sdpMLineIndex, usernameFragment }) {
    if (typeof candidate !== 'string' || candidate.length > 4096) throw new TypeError('Its “candidate” is no short text.')
    this.#listener.step('candidate-received', candidate || 'No more candidates.')
    if (link !== undefined && this.#remote !== null && link !== this.#remote) return
    const init = /** @type {RTCIceCandidateInit} */ ({ candidate, sdpMid, sdpMLineIndex, usernameFragment })
    if (this.connection.remoteDescription) await this.#add(init)
    else if (!this.#ignoring && this.#theirs.length < HELD) this.#theirs.push(init)
  }

  /** @param {RTCIceCandidateInit} candidate */
  async #add(candidate) {
    try {
      await this.connection.addIceCandidate(candidate)
    } catch (cause) {
      // One of an offer that was ignored, or of a generation that a restart has ended, has nowhere to go.
      if (cause instanceof TypeError || !(this.#ignoring || candidate.usernameFragment)) throw cause
    }
  }

  async #negotiate() {
    if (this.#options.foreign && (this.#described || !this.#offering)) {
      return this.#listener.step('offer-withheld', 'This peer cannot renegotiate.')
    }
    // Who waits for the first offer speaks after it.
    this.#skipped = !this.begun
    if (this.#skipped) return
    this.#making = true
    try {
      await this.connection.setLocalDescription()
      this.#offer = randomId()
      this.#describe('offer', this.#offer)
    } catch (cause) {
      this.#complain('The browser could not negotiate.', cause)
    }
    this.#making = false
  }

  /** Sends the description that stands, if it is one of this type. @param {'offer' | 'answer'} type @param {unknown} offer */
  #describe(type, offer) {
    const description = this.connection.localDescription
    if (this.#closed || description?.type !== type) return
    const sdp = this.#discreet(description.sdp)
    const sent = this.#listener.send(type, { type, sdp, ...this.#mark({ offer, ...type === 'offer' && this.#remote !== null && { to: this.#remote } }) })
    this.#listener.step(`${type}-${sent ? 'sent' : 'held'}`, sent ? `Sent the ${type}.` : `No way to send the ${type} now.`, { sdp })
    this.#described = true
    this.#sendHeld()
  }

  /** @param {object} more */
  #mark(more) {
    return this.#options.foreign ? {} : { link: this.id, ...more }
  }

  #sendHeld() {
    for (const candidate of this.#ours.splice(0)) this.#sendCandidate(candidate)
  }

  /** @param {{ candidate?: string }} data */
  #sendCandidate({ candidate = '', ...more }) {
    const data = { candidate: this.#discreet(candidate), ...more }
    if (candidate !== '' && data.candidate === '') return
    const sent = this.#described && this.#listener.send('candidate', data)
    if (!sent && this.#ours.length < HELD) this.#ours.push(data)
    if (sent) this.#listener.step('candidate-sent', data.candidate || 'No more candidates.')
  }

  /** What may be told of a description or a candidate: where relays alone are allowed, no address but theirs. @param {string} text */
  #discreet(text) {
    return this.#config.iceTransportPolicy === 'relay'
      ? text.replace(/^(?:a=)?candidate:(?!.* typ relay).*\s*/gm, '').replace(/ raddr \S+ rport \d+/g, ' raddr 0.0.0.0 rport 9').replace(/IN IP[46] \S+/g, 'IN IP4 0.0.0.0')
      : text
  }

  /** A channel that the peer made. @param {RTCDataChannel} channel */
  #offered(channel) {
    this.#listener.step('channel-received', `The peer opened the channel “${channel.label}”.`)
    let waits = true
    /** @param {MessageEvent} [event] */
    const use = event => {
      if (!waits) return
      waits = false
      if (!this.channel || this.channel.readyState === 'closed') {
        this.#use(channel)
        if (event) channel.onmessage?.(event)
      } else if (isFramed(channel)) channel.close()
    }
    channel.addEventListener('message', use)
    setTimeout(use, EARLY_MS)
  }

  /** @param {RTCDataChannel} channel */
  #use(channel) {
    this.channel = channel
    const changed = () => {
      if (this.channel !== channel) return
      this.#listener.step('channelState', `channelState: ${channel.readyState}`)
      this.#listener.changed()
    }
    for (const type of ['open', 'closing', 'close']) channel.addEventListener(type, changed, { signal: this.#end.signal })
    if (channel.readyState === 'open') changed()
  }

  /** @param {string} message @param {unknown} [cause] */
  #complain(message, cause) {
    if (!this.#closed) this.#listener.error(new SwitchboardError('negotiation', cause instanceof Error ? `${message} ${cause.message}` : message, cause))
  }
}

/** What tells one connection of a peer from the next. @param {Fields} data @param {string} sdp */
function sender({ link }, sdp) {
  if (typeof link === 'string' && link.length <= 64) return link
  return /^a=fingerprint:(\S+ \S+)/m.exec(sdp)?.[1] ?? ''
}

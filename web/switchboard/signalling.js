//! The way to the server: one WebSocket after another, each greeted, put into the room, watched, and replaced when it is
//! lost. It keeps one's identity (id and resume token) and knows nothing of connections between peers.

import { SwitchboardError } from './errors.js'
import { readMembers, readMessage, readWelcome, string } from './messages.js'

/**
 * @typedef {import('./types.js').SignallingState} SignallingState
 * @typedef {import('./messages.js').Fields} Fields
 * @typedef {import('./messages.js').MemberInfo} MemberInfo
 * @typedef {import('./messages.js').Welcome} Welcome
 */

/**
 * @typedef {object} Entered
 * @property {string} id  One's own; another than before where the server did not know it any more.
 * @property {string} room
 * @property {boolean} created
 * @property {MemberInfo[]} members
 */

/**
 * @typedef {object} SignallingListener
 * @property {(entered: Entered) => void} entered  One is in the room, for the first time or again.
 * @property {(message: Fields & { type: string }) => void} message  About peers, or from one.
 * @property {(change: { state: SignallingState, was: SignallingState, reason?: string, retryInMs?: number }) => void} state
 * @property {(kind: string, text: string, detail?: object) => void} step
 * @property {(error: SwitchboardError) => void} error
 * @property {(error: SwitchboardError) => void} refused  The first attempt to join failed; it is over.
 */

/** How long a new socket may take to open, greet and join. */
const HANDSHAKE_MS = 10_000
/** A page does not see the server's pings: after this silence it asks, and waits so much longer for the answer. */
const QUIET_MS = 10_000
const ANSWER_MS = 4000
/** Waits between attempts: doubled each time up to the last, then anything between half and all of it. */
const RETRY_MS = { first: 500, last: 30_000 }
/** The server closed us to make way for another socket that has our token. */
const TAKEN_OVER = 4001

export class Signalling {
  /** @type {SignallingState} */
  state = 'connecting'
  id = ''
  /** @type {RTCIceServer[]} */
  iceServers = []
  room
  name
  #url
  #ifMissing
  #listener
  /** @type {WebSocket | null} */
  #socket = null
  /** @type {string | null} */
  #resume = null
  #messageBytes = 65_536
  #joined = false
  #quietMs = 0
  #failures = 0
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer
  /** @type {string | undefined} */
  #goodbye
  /** @type {number | undefined} */
  #retryMs

  /**
   * @param {{ url: string, room: string | null, name: string, ifMissing: string | undefined }} options
   * @param {SignallingListener} listener
   */
  constructor({ url, room, name, ifMissing }, listener) {
    this.#url = url
    this.room = room
    this.name = name
    this.#ifMissing = ifMissing
    this.#listener = listener
  }

  connect() {
    clearTimeout(this.#timer)
    this.#goodbye = this.#retryMs = undefined
    this.#quietMs = 0
    this.#setState({ state: 'connecting' })
    this.#listener.step('socket-opening', `Connecting to ${this.#url}.`)
    /** @type {WebSocket} */
    let socket
    try {
      socket = new WebSocket(this.#url)
    } catch (cause) {
      return this.#fail(new SwitchboardError('unreachable', `The browser does not connect to ${this.#url}.`, cause))
    }
    this.#socket = socket
    this.#timer = setTimeout(() => this.#lost('The server did not answer in time.'), HANDSHAKE_MS)
    socket.onopen = () => this.#hello()
    socket.onmessage = ({ data }) => this.#receive(data)
    socket.onclose = event => this.#closed(event)
  }

  /**
   * Sends a message to the server.
   * @param {Fields & { type: string }} message
   * @returns {boolean}  False where there is no way now.
   */
  send(message) {
    return this.state === 'open' && this.#put(message)
  }

  /** @param {string} name */
  rename(name) {
    this.name = name
    this.send({ type: 'rename', name, ref: '#rename' })
  }

  /** Asks at once whether the server is still there, or tries again at once to reach it. */
  check() {
    if (this.state === 'lost') this.connect()
    else if (this.state === 'open') this.#quietMs = Math.max(this.#quietMs, QUIET_MS)
  }

  /**
   * Time has passed.
   * @param {number} ms
   */
  tick(ms) {
    if (this.state !== 'open') return
    this.#quietMs += ms
    if (this.#quietMs >= QUIET_MS + ANSWER_MS) this.#lost('The server does not answer.')
    else if (this.#quietMs >= QUIET_MS) this.#put({ type: 'ping' })
  }

  /** Leaves in good order. */
  close() {
    this.#put({ type: 'bye' })
    this.#release(1000)
    this.#setState({ state: 'closed' })
  }

  /** Leaves in good order, to come back when the page does. */
  pause() {
    this.#put({ type: 'bye' })
    this.#release(1000)
    this.#setState({ state: 'lost', reason: 'The page was put aside.' })
  }

  #hello() {
    this.#put({ type: 'hello', v: 1, ref: '#hello', ...this.name && { name: this.name }, ...this.#resume !== null && { resume: this.#resume } })
    if (this.#resume === null) this.#join()
  }

  #join() {
    const ifMissing = this.#joined ? 'create' : this.#ifMissing
    this.#put({ type: 'join', ref: '#join', ...this.room !== null && { room: this.room }, ...ifMissing && { ifMissing } })
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#quietMs = 0
    try {
      const message = readMessage(data)
      switch (message.type) {
        case 'welcome': return this.#welcomed(readWelcome(message))
        case 'joined': return this.#entered(string(message, 'room'), message['created'] === true, readMembers(message))
        case 'error': return this.#refused(String(message['code']), String(message['message']), message['ref'])
        case 'goodbye': return this.#dismissed(message)
        case 'pong':
        case 'left':
        case 'renamed': return
        default: this.#listener.message(message)
      }
    } catch (error) {
      this.#listener.error(error instanceof SwitchboardError ? error : new SwitchboardError('internal', String(error), error))
    }
  }

  /** @param {Welcome} welcome */
  #welcomed({ id, resume, resumed, rooms, iceServers, messageBytes }) {
    const asked = this.#resume !== null
    this.id = id
    this.#resume = resume
    this.iceServers = iceServers
    this.#messageBytes = messageBytes
    this.#listener.step('welcome', resumed ? 'The server remembers us.' : 'The server greets us.', { id, iceServers: iceServers.map(({ urls }) => urls) })
    const here = resumed && rooms.find(({ room }) => room === this.room)
    if (here) this.#entered(here.room, false, here.members)
    else if (asked) this.#join()
  }

  /**
   * @param {string} room
   * @param {boolean} created
   * @param {MemberInfo[]} members
   */
  #entered(room, created, members) {
    clearTimeout(this.#timer)
    this.room = room
    this.#joined = true
    this.#failures = 0
    this.#listener.step('joined', `In room ${room} with ${members.length} others.`, { room, members })
    this.#setState({ state: 'open' })
    this.#listener.entered({ id: this.id, room, created, members })
  }

  /**
   * @param {string} code
   * @param {string} message
   * @param {unknown} ref  Which message the server speaks of: a peer's id, or one of ours.
   */
  #refused(code, message, ref) {
    this.#listener.step('server-error', message, { code, ref })
    if (code === 'resume-refused') {
      this.#resume = null
      return this.#hello()
    }
    const error = new SwitchboardError(code, message)
    if (ref === '#hello' || ref === '#join') return this.#fail(error)
    if (typeof ref === 'string' && !ref.startsWith('#')) return this.#listener.message({ type: 'undelivered', to: ref, code })
    if (code !== 'slow-down') this.#listener.error(error)
  }

  /** @param {Fields} message */
  #dismissed({ code, message, retryMs }) {
    this.#goodbye = typeof message === 'string' ? message : String(code)
    if (typeof retryMs === 'number' && retryMs >= 0) this.#retryMs = Math.min(retryMs, RETRY_MS.last)
    this.#listener.step('goodbye', this.#goodbye, { code, retryMs })
  }

  /** @param {CloseEvent} event */
  #closed({ code, reason }) {
    if (code === TAKEN_OVER) this.#resume = null
    this.#lost(this.#goodbye ?? (reason || (code === 1006 ? 'The connection to the server was lost.' : `The server closed the connection (${code}).`)))
  }

  /** @param {string} reason */
  #lost(reason) {
    if (!this.#joined) return this.#fail(new SwitchboardError('unreachable', `${new URL(this.#url).host} cannot be reached: ${reason}`))
    this.#retry(reason)
  }

  /** Before the first time this is the end; later it is tried again. @param {SwitchboardError} error */
  #fail(error) {
    if (this.#joined) {
      this.#listener.error(error)
      return this.#retry(error.message)
    }
    this.#release(1000)
    this.#setState({ state: 'closed', reason: error.message })
    this.#listener.refused(error)
  }

  /** @param {string} reason */
  #retry(reason) {
    this.#release(4000)
    const full = Math.min(RETRY_MS.last, RETRY_MS.first * 2 ** this.#failures++)
    const retryInMs = Math.round(this.#retryMs === undefined ? full * (0.5 + Math.random() / 2) : this.#retryMs + Math.random() * 1000)
    this.#setState({ state: 'lost', reason, retryInMs })
    this.#timer = setTimeout(() => this.connect(), retryInMs)
  }

  /** Lets go of the socket, which may take long to close. @param {number} code */
  #release(code) {
    clearTimeout(this.#timer)
    const socket = this.#socket
    this.#socket = null
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close(code)
  }

  /** @param {Fields} message */
  #put(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false
    const text = JSON.stringify(message)
    if (text.length > this.#messageBytes / 3 && new TextEncoder().encode(text).length > this.#messageBytes) {
      this.#listener.error(new SwitchboardError('too-large', `A message to the server was larger than the ${this.#messageBytes} bytes that it takes.`))
      return false
    }
    this.#socket.send(text)
    return true
  }

  /** @param {{ state: SignallingState, reason?: string, retryInMs?: number }} change */
  #setState(change) {
    const was = this.state
    if (was === 'closed' || was === change.state) return
    this.state = change.state
    this.#listener.state({ ...change, was })
  }
}

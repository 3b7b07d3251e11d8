//! The way to the server: one WebSocket after another, each greeted, put into the room, watched, and replaced when it is
//! lost. It keeps one's identity (id and resume token) and knows nothing of connections between peers.

import { ours, readMessage, SwitchboardError } from './wire.js'

/** @import { Fields, SignallingListener, SignallingState, Welcome } from './types.js' */

/** How long a new socket may take to open, greet and join. */
const HANDSHAKE_MS = 10_000
/** After this silence the server is asked, for a page does not see its pings; and so much longer it may take to answer. */
const QUIET_MS = 10_000
const ANSWER_MS = 4000
/** Waits between attempts, doubled each time; half of it is chance. */
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000
/** Another socket has come with our token. */
const TAKEN_OVER = 4001

export class Signalling {
  /** @type {SignallingState} */
  state = 'connecting'
  id = ''
  /** @type {RTCIceServer[]} The newest; credentials in it last a while only. */
  iceServers = []
  room
  /** As one wants to be called; what the server refuses is taken back. */
  name
  /** @type {string | null} As the server calls us. */
  #accepted = null
  #url
  #ifMissing
  #listener
  /** @type {WebSocket | null} */
  #socket = null
  /** @type {string | null} */
  #resume = null
  /** The name of the last hello. */
  #greeted = ''
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

  /** @param {{ url: string, room: string | null, name: string, ifMissing: string | undefined }} options @param {SignallingListener} listener */
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
    try {
      this.#socket = new WebSocket(this.#url)
    } catch (cause) {
      return this.#fail(new SwitchboardError('unreachable', `The browser does not connect to ${this.#url}.`, cause))
    }
    this.#timer = setTimeout(() => this.#lost('The server does not answer.'), HANDSHAKE_MS)
    this.#socket.onopen = () => this.#hello()
    this.#socket.onmessage = ({ data }) => this.#receive(data)
    this.#socket.onclose = ({ code, reason }) => {
      if (code === TAKEN_OVER) this.#resume = null
      this.#lost(this.#goodbye ?? (reason || `The connection to the server was lost (${code}).`))
    }
  }

  /** @param {Fields & { type: string }} message @returns {boolean}  False where there is no way now. */
  send(message) {
    return this.state === 'open' && this.#put(message)
  }

  /** @param {string} name */
  rename(name) {
    this.name = String(name)
    this.#tellName()
  }

  /** Asks for the server, or tries again, at once. */
  check() {
    if (this.state === 'lost') this.connect()
    this.#quietMs = Math.max(this.#quietMs, QUIET_MS)
  }

  /** Time has passed. @param {number} ms */
  tick(ms) {
    if (this.state !== 'open') return
    this.#quietMs += ms
    if (this.#quietMs >= QUIET_MS + ANSWER_MS) this.#lost('The server does not answer.')
    else if (this.#quietMs >= QUIET_MS) this.#put({ type: 'ping' })
  }

  /** Leaves in good order. @param {'closed' | 'lost'} state  `lost` to come back by `connect`. */
  close(state) {
    this.#put({ type: 'bye' })
    this.#release(1000)
    this.#setState({ state })
  }

  #tellName() {
    if (this.state === 'open' && this.name !== this.#accepted && !this.#put({ type: 'rename', name: this.name, ref: '#rename' })) this.#restoreName()
  }

  /** Else each hello would be refused as well. @returns {boolean}  Whether there was another that was accepted. */
  #restoreName() {
    const refused = this.name
    this.name = this.#accepted ?? refused
    return this.name !== refused
  }

  /** @returns {void} */
  #hello() {
    const sent = this.#put({ type: 'hello', v: 1, ref: '#hello', name: this.name, ...this.#resume !== null && { resume: this.#resume } })
    if (!sent && this.#restoreName()) return this.#hello()
    this.#greeted = this.name
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
        case 'welcome': return this.#welcomed(message)
        case 'joined': return this.#entered(message, message['created'] === true)
        case 'ice-servers': return this.#renewed(message)
        case 'error': return this.#refused(message.code, message.message, message['ref'])
        case 'goodbye': return this.#dismissed(message)
        case 'renamed':
          this.#accepted = this.name = message.name
          return
        case 'pong':
        case 'left': return
        default: this.#listener.message(message)
      }
    } catch (error) {
      this.#listener.error(ours(error))
    }
  }

  /** @param {Welcome} welcome */
  #welcomed({ id, resume, resumed, rooms, iceServers, limits }) {
    const asked = this.#resume !== null
    this.id = id
    this.#accepted = this.#greeted
    this.#resume = resume
    this.iceServers = iceServers
    this.#messageBytes = limits?.messageBytes || this.#messageBytes
    this.#listener.step('welcome', `The server ${resumed ? 'remembers' : 'greets'} us.`, { id })
    const here = resumed && rooms.find(({ room }) => room === this.room)
    if (here) this.#entered(here, false)
    else if (asked) this.#join()
  }

  /** @param {Welcome['rooms'][0]} joined @param {boolean} created */
  #entered({ room, members, iceServers }, created) {
    clearTimeout(this.#timer)
    this.room = room
    // Those of the room outlive those of the greeting.
    this.iceServers = iceServers ?? this.iceServers
    this.#joined = true
    this.#failures = 0
    this.#listener.step('joined', `In room ${room}; others: ${members.length}.`, { members })
    this.#setState({ state: 'open' })
    this.#listener.entered({ id: this.id, room, created, members })
    // It may have changed while there was no way to say so.
    this.#tellName()
  }

  /** @param {{ room: string, iceServers: RTCIceServer[] }} message */
  #renewed({ room, iceServers }) {
    if (room !== this.room) return
    this.iceServers = iceServers
    this.#listener.step('ice-servers', 'The server sent new credentials for its relays.')
    this.#listener.renewed()
  }

  /** @param {string} code @param {string} message @param {unknown} ref  Which message is meant: to a peer (its id), or one of `#…`. */
  #refused(code, message, ref) {
    this.#listener.step('server-error', message, { code, ref })
    if (code === 'resume-refused') {
      this.#resume = null
      return this.#hello()
    }
    if (code === 'bad-name') this.#restoreName()
    const error = new SwitchboardError(code, message)
    if (ref === '#hello' || ref === '#join') this.#fail(error)
    // A peer may just have left; a fast sender is only read more slowly.
    else if (code !== 'slow-down' && code !== 'peer-not-found') this.#listener.error(error)
  }

  /** @param {Fields} message */
  #dismissed({ message, retryMs }) {
    this.#goodbye = String(message)
    if (typeof retryMs === 'number' && retryMs >= 0) this.#retryMs = Math.min(retryMs, LAST_RETRY_MS)
    this.#listener.step('goodbye', this.#goodbye)
  }

  /** @param {string} reason */
  #lost(reason) {
    if (this.#joined) this.#retry(reason)
    else this.#fail(new SwitchboardError('unreachable', `${new URL(this.#url).host} cannot be reached: ${reason}`))
  }

  /** Before the first time this is the end; later it is tried again. @param {SwitchboardError} error */
  #fail(error) {
    if (this.#joined) {
      this.#listener.error(error)
      return this.#retry(error.message)
    }
    this.close('closed')
    this.#listener.refused(error)
  }

  /** @param {string} reason */
  #retry(reason) {
    this.#release(4000)
    const full = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++)
    const retryInMs = Math.round(this.#retryMs === undefined ? full * (0.5 + Math.random() / 2) : this.#retryMs + Math.random() * 1000)
    this.#setState({ state: 'lost', reason, retryInMs })
    this.#timer = setTimeout(() => this.connect(), retryInMs)
  }

  /** @param {number} code */
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
    const fits = text.length * 3 <= this.#messageBytes || new TextEncoder().encode(text).length <= this.#messageBytes
    if (fits) this.#socket.send(text)
    else this.#listener.error(new SwitchboardError('too-large', `The server takes messages of at most ${this.#messageBytes} bytes.`))
    return fits
  }

  /** @param {{ state: SignallingState, reason?: string, retryInMs?: number }} change */
  #setState(change) {
    const was = this.state
    if (was === 'closed' || was === change.state) return
    this.state = change.state
    this.#listener.state({ ...change, was })
  }
}

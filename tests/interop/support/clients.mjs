// The official Socket.IO clients of four generations, each on its transports, with what they hear in one queue.
import { createRequire } from 'node:module'
import { startServer } from '../../browser/support/server.mjs'
import { startReference } from './reference.mjs'

const require = createRequire(import.meta.url)

/** Whether the original runs under the tests, in place of the program. */
export const REFERENCE = process.env.SOCKETIO_REFERENCE === '1'

/** Long enough for a busy machine. */
export const PATIENCE_MS = 30_000

/** For tests that send more than a person's browser does: without it the server slows them down. */
export const UNHURRIED = ['messages_per_connection', 'messages_per_address'].flatMap(limit => ['--set', `limits.${limit}=0`])

const ways = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] }

/** Every generation on every way to connect. */
export const KINDS = [1, 2, 3, 4].flatMap(generation => Object.keys(ways).map(way => ({ generation, way, name: `version ${generation}, ${way}` })))

const EVENTS = ['room-created', 'new-user-joined', 'rtc-offer', 'rtc-answer', 'ice-candidate', 'user-disconnected', 'switchboard-error', 'ws-peer', 'ws-handshake']

/** Starts what is under test. */
export const start = (flags = []) => REFERENCE ? startReference() : startServer(0, flags)

/** Fails what takes longer than a busy machine takes. */
export async function inTime(promise, what) {
  let late
  const patience = new Promise((_, reject) => { late = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS) })
  try {
    return await Promise.race([promise, patience])
  } finally {
    clearTimeout(late)
  }
}

/** One client. What it hears waits in `heard`, in order, until it is asked for. */
export class Client {
  #heard = []
  #waiting = null
  #id

  /** Begins to connect. */
  constructor(url, { generation, way }, options = {}) {
    const io = require(`socket.io-client-${generation}`)
    this.name = `version ${generation}, ${way}`
    this.way = way
    this.socket = io(url, { transports: ways[way], forceNew: true, reconnection: false, timeout: PATIENCE_MS, ...options })
    for (const name of EVENTS) this.socket.on(name, (...args) => this.#hear([name, ...args]))
    this.upgraded = new Promise(resolve => {
      if (way !== 'upgrade') resolve()
      else this.socket.io.engine ? this.socket.io.engine.once('upgrade', resolve) : this.socket.io.once('open', () => this.socket.io.engine.once('upgrade', resolve))
    })
  }

  /** Connects. */
  static async connect(url, kind, options) {
    const client = new Client(url, kind, options)
    await client.connected()
    return client
  }

  /** Its id; after it has left, the one that it had. */
  get id() { return this.#id = this.socket.id ?? this.#id }

  get engine() { return this.socket.io.engine }

  async connected() {
    if (!this.socket.connected) await inTime(new Promise(resolve => { this.socket.on('connect', resolve) }), `${this.name} to connect`)
    return this
  }

  say(...event) { this.socket.emit(...event) }

  #hear(event) {
    this.#heard.push(event)
    this.#waiting?.()
  }

  /** The next event, whatever it is. */
  async next() {
    while (this.#heard.length === 0) await inTime(new Promise(resolve => { this.#waiting = resolve }), `an event for ${this.name}`)
    return this.#heard.shift()
  }

  /** What was heard and not asked for. */
  get rest() { return this.#heard }

  /** Opens a room. */
  async room() {
    this.say('create-room')
    const [name, id] = await this.next()
    if (name !== 'room-created') throw new Error(`${this.name} heard ${name} in place of room-created`)
    return id
  }

  /** Leaves in good order. */
  leave() {
    void this.id
    this.socket.disconnect()
    // Sockets of other namespaces may hold the connection.
    this.engine?.close()
  }
}

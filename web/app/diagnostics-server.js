//! The way to the server, tried as the page itself goes it: a WebSocket, a room of one's own, the ICE servers.

/**
 * @typedef {object} Entrance
 * @property {RTCIceServer[]} iceServers  With credentials of this visit.
 * @property {number} openMs  Until the socket was open.
 * @property {number} echoMs  A round trip of a message.
 * @property {string} server  Name and version, as the server says.
 * @property {() => void} leave
 */

/** How long all of it may take. */
const PATIENCE_MS = 10_000

/**
 * Enters a room that is nobody else's.
 * @param {string} origin
 * @returns {Promise<Entrance>}  Rejected with an `Error` whose message says how far it got.
 */
export async function enterServer(origin) {
  const url = new URL('/ws', origin)
  url.protocol = url.protocol.replace('http', 'ws')
  const begun = performance.now()
  const talk = new Talk(new WebSocket(url.href))
  try {
    await talk.opened
    const openMs = performance.now() - begun
    talk.say({ type: 'hello', v: 1, name: '' })
    const welcome = await talk.hear('welcome')
    talk.say({ type: 'join' })
    const joined = await talk.hear('joined')
    const asked = performance.now()
    talk.say({ type: 'ping' })
    await talk.hear('pong')
    const servers = joined['iceServers'] ?? welcome['iceServers']
    return {
      iceServers: Array.isArray(servers) ? servers : [], openMs, echoMs: performance.now() - asked,
      server: String(welcome['server'] ?? ''), leave: () => talk.end(),
    }
  } catch (error) {
    talk.end()
    throw error
  }
}

/** Messages over one socket, awaited one after the other; the first thing that goes wrong is the answer to all. */
class Talk {
  #socket
  /** @type {Map<string, (message: Record<string, unknown>) => void>} */
  #awaited = new Map()
  /** @type {(error: Error) => void} */
  #fail = () => {}
  /** @type {Promise<never>} */
  #failed = new Promise((_, reject) => { this.#fail = reject })
  /** @type {Promise<unknown>} */
  opened
  #isOpen = false

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.#socket = socket
    this.#failed.catch(() => {})
    const late = setTimeout(() => this.#fail(new Error(this.#isOpen ? 'The server does not answer over its WebSocket.' : 'The WebSocket does not open.')), PATIENCE_MS)
    this.#failed.catch(() => clearTimeout(late))
    this.opened = Promise.race([this.#failed, new Promise(resolve => {
      socket.onopen = () => {
        this.#isOpen = true
        resolve(undefined)
      }
    })])
    socket.onclose = ({ code }) => this.#fail(new Error(this.#isOpen ? `The WebSocket was closed (${code}).` : 'The WebSocket was refused.'))
    socket.onmessage = ({ data }) => this.#take(data)
  }

  /** @param {object} message */
  say(message) {
    this.#socket.send(JSON.stringify(message))
  }

  /** @param {string} type @returns {Promise<Record<string, unknown>>} */
  hear(type) {
    return Promise.race([this.#failed, new Promise(resolve => { this.#awaited.set(type, /** @type {any} */ (resolve)) })])
  }

  end() {
    this.#fail(new Error('It is over.'))
    if (this.#socket.readyState === WebSocket.OPEN) this.say({ type: 'bye' })
    this.#socket.close()
  }

  /** @param {unknown} data */
  #take(data) {
    /** @type {Record<string, unknown>} */
    let message = {}
    try {
      message = Object(JSON.parse(String(data)))
    } catch {
      return this.#fail(new Error('What answers over the WebSocket is no Switchboard server.'))
    }
    if (message['type'] === 'error') return this.#fail(new Error(`The server refused: ${String(message['message'])}`))
    this.#awaited.get(String(message['type']))?.(message)
  }
}

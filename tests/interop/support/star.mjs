// webrtc-star: the server under test or the original, and peers that join it with official Socket.IO clients.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { startServer } from '../../browser/support/server.mjs'
import { Client, UNHURRIED, inTime } from './clients.mjs'

/** Whether the original runs under the tests, in place of the program. */
export const REFERENCE = process.env.STAR_REFERENCE === '1'

/** How often peers are told of others in tests that do not look at the time; 10 s in a server as it is. */
const SOON_MS = 500

/** How often they are told by a server as it is. */
export const INTERVAL_MS = 10_000

/** Starts what is under test, on a port that it had before if one is given. */
export function startStar({ port = 0, interval = SOON_MS, flags = [] } = {}) {
  if (REFERENCE) return startReference({ port, interval, host: '127.0.0.1' })
  return startServer(port, ['--set', `star.announce_interval=${interval}ms`, ...UNHURRIED, ...flags])
}

/** Starts what is under test where IPv6 alone leads: its URL and its port are those of [::1]. */
export async function startStarOnSix({ port = 0, interval = SOON_MS } = {}) {
  if (REFERENCE) return startReference({ port, interval, host: '::1' })
  const server = await startStar({ interval, flags: ['--listen', `[::1]:${port}`] })
  const [, six] = /\[::1\]:(\d+)/.exec((await server.serving).addresses)
  return { ...server, url: `http://[::1]:${six}`, port: Number(six) }
}

async function startReference({ port, interval, host }) {
  const program = path.join(import.meta.dirname, 'star-reference.mjs')
  const child = spawn(process.execPath, [program, JSON.stringify({ port, interval, host })], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout, 'data')
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  const got = Number(`${line}`)
  const name = host.includes(':') ? `[${host}]` : host
  return { url: `http://${name}:${got}`, port: got, kill: end, stop: end }
}

let peers = 0

/** An address that nobody had before. */
export const address = (host = '/dns4/star.example.org/tcp/443/wss') => `${host}/p2p-webrtc-star/p2p/QmTest${`${++peers}`.padStart(40, 'x')}`

/** A socket of a peer. Generation 1 and 2 use the old path, the others take turns. */
export class Peer extends Client {
  constructor(url, kind, options = {}) {
    const next = kind.generation > 2 && peers % 2 === 0
    super(url, kind, { path: next ? '/socket.io-next' : '/socket.io', ...options })
  }

  /** Connects and joins. */
  static async join(url, kind, at = address(), options) {
    const peer = new Peer(url, kind, options)
    peer.at = at
    await peer.connected()
    peer.say('ss-join', at)
    return peer
  }

  /** The next event that is no announcement. */
  nextSignal() {
    const signal = async () => {
      for (;;) {
        const event = await this.next()
        if (event[0] !== 'ws-peer') return event
      }
    }
    // Announcements go on for ever.
    return inTime(signal(), `a handshake for ${this.name}`)
  }

  /** The next handshake. */
  async handshake() {
    const [name, object] = await this.nextSignal()
    if (name !== 'ws-handshake') throw new Error(`${this.name} heard ${name} ${JSON.stringify(object)} in place of a handshake`)
    return object
  }

  /** Waits until it is told of an address. */
  hears(at) {
    const told = async () => {
      for (;;) {
        const [name, address] = await this.next()
        if (name === 'ws-peer' && address === at) return
        if (name !== 'ws-peer') throw new Error(`${this.name} heard ${name} before ${at}`)
      }
    }
    return inTime(told(), `${this.name} to hear of ${at}`)
  }

  /** Offers, as a client of 2021 does unless told otherwise. */
  offer(to, more = {}) {
    const object = { intentId: `${Math.random()}`, srcMultiaddr: this.at, dstMultiaddr: to, signal: OFFER, ...more }
    this.say('ss-handshake', object)
    return object
  }

  /** Answers as a client of 2021 does: the offer itself, with another signal. */
  answer(offer, signal = { type: 'answer', sdp: 'v=0\r\n' }) {
    this.say('ss-handshake', { ...offer, signal, answer: true })
  }
}

/** What a browser sends, with all that a relay could harm: order of keys, characters beyond ASCII, line breaks, unknown members. */
export const OFFER = { type: 'offer', sdp: 'v=0\r\no=- 46 2 IN IP4 127.0.0.1\r\ns=plain "\\n"\r\n', z: 1, a: [null, true, -1.5e-7, {}] }

//! A room one is in: its members, what is sent to them, and the events of it all. It passes the server's words
//! (signalling.js) to the members (member.js) and decides nothing about connections.

import { Member } from './member.js'
import { Signalling } from './signalling.js'
import { randomId, SHORT_TEXT, SwitchboardError } from './wire.js'

/** @import { Data, Delivering, Delivery, Entered, Fields, Host, JoinOptions, LeaveReason, MemberInfo, RoomEvents, SendOptions, Sent, Step } from './types.js' */
/** @import { Peer } from './member.js' */

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
/** For a goodbye to get out. */
const FAREWELL_MS = 300
/** Steps kept until somebody can listen. */
const EARLY_STEPS = 100

/** A room one is in. Made by `join`. */
export class Room extends EventTarget {
  #options
  #signalling
  /** @type {Map<string, Member>} */
  #members = new Map()
  /** @type {Map<string, Peer>} */
  #peers = new Map()
  /** Who has left, and the server has not said so. @type {Map<string, { info: MemberInfo, bye: boolean }>} */
  #ghosts = new Map()
  #created = false
  #relayOnly
  #selfId = ''
  /** @type {Step[] | null} */
  #early = []
  #away = new AbortController()
  #maxBytes
  /** @type {{ resolve: (room: Room) => void, reject: (error: unknown) => void } | null} */
  #joining = null
  /** @type {Host} */
  #host = {
    config: () => ({ ...this.#options.rtc, iceTransportPolicy: this.#relayOnly ? 'relay' : 'all', iceServers: this.#options.iceServers ?? this.#signalling.iceServers }),
    signal: (type, to, data) => this.#signalling.send({ type, to, data, ref: to }),
    emit: (type, detail) => this.#emit(type, detail),
    left: (member, reason, byServer) => this.#left(member, reason, byServer),
    send: (data, options) => this.send(data, options),
  }

  /** @param {string | null} roomId @param {JoinOptions} options */
  constructor(roomId, options) {
    super()
    this.#options = options
    this.#relayOnly = options.relayOnly ?? options.rtc?.iceTransportPolicy === 'relay'
    this.#maxBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES
    this.#signalling = new Signalling({ url: socketUrl(options.server), room: roomId, name: options.name ?? '', ifMissing: options.ifMissing }, {
      entered: entered => this.#entered(entered),
      message: message => this.#message(message),
      renewed: () => this.#configure(),
      state: change => this.#signallingChanged(change),
      step: (kind, text, detail) => this.#step(kind, text, detail),
      error: error => this.#emit('error', { error }),
      refused: error => this.#joining?.reject(error),
    })
  }

  get id() {
    return this.#signalling.room ?? ''
  }

  /** Whether one's joining made the room. */
  get created() {
    return this.#created
  }

  get self() {
    return { id: this.#selfId, name: this.#signalling.name }
  }

  /** @returns {ReadonlyMap<string, Peer>} */
  get peers() {
    return this.#peers
  }

  /** Whether one's address is hidden from the others: every connection goes through a relay, whatever it costs. */
  get relayOnly() {
    return this.#relayOnly
  }

  set relayOnly(only) {
    if (this.#relayOnly === only) return
    this.#relayOnly = only
    this.#configure(true)
  }

  get signalling() {
    return this.#signalling.state
  }

  /**
   * Sends a message directly to the peers. Short texts keep their order and overtake large messages.
   * @param {Data} data
   * @param {SendOptions} [options]
   * @returns {Sent}
   * @throws {SwitchboardError} `too-large`, `bad-data`, `bad-target`, `peer-not-found`
   */
  send(data, { to, onProgress } = {}) {
    const message = new Message(data)
    if (message.bytes > this.#maxBytes) {
      throw new SwitchboardError('too-large', `At most ${this.#maxBytes} bytes; this message has ${message.bytes}.`)
    }
    const members = to === undefined ? [...this.#members.values()] : this.#named([to].flat())
    const receipt = new Receipt(message, members.map(({ id }) => id), onProgress)
    for (const member of members) this.#sendTo(member, message, receipt)
    return receipt
  }

  /** Changes how the others see one. @param {string} name */
  rename(name) {
    this.#signalling.rename(name)
  }

  /** Says goodbye and ends all connections. */
  async leave() {
    if (this.signalling === 'closed') return
    const channels = this.#farewell('closed')
    this.#away.abort()
    await Promise.race([Promise.all(channels.map(drained)), new Promise(resolve => { setTimeout(resolve, FAREWELL_MS) })])
    this.#dismiss('left')
  }

  /**
   * Listens to an event and gets its detail.
   * @template {keyof RoomEvents} T
   * @param {T} type
   * @param {(detail: RoomEvents[T]) => void} listener
   * @returns {() => void}  Unsubscribes.
   */
  on(type, listener) {
    const wrapped = (/** @type {Event} */ event) => listener(/** @type {CustomEvent<RoomEvents[T]>} */ (event).detail)
    this.addEventListener(type, wrapped)
    return () => this.removeEventListener(type, wrapped)
  }

  /** For `join` alone. @returns {Promise<Room>} */
  enter() {
    const { signal } = this.#options
    return new Promise((resolve, reject) => {
      this.#joining = { resolve, reject }
      signal?.throwIfAborted()
      signal?.addEventListener('abort', () => {
        reject(signal.reason)
        void this.leave()
      }, { once: true })
      this.#signalling.connect()
    })
  }

  /** @param {Entered} entered */
  #entered({ id, created, members }) {
    const first = this.#joining !== null
    if (!first && this.#selfId !== id) this.#dismiss('gone')
    this.#selfId = id
    const listed = new Set(members.map(({ id }) => id))
    for (const member of [...this.#members.values()]) if (!listed.has(member.id)) member.unlisted()
    for (const ghost of this.#ghosts.keys()) if (!listed.has(ghost)) this.#ghosts.delete(ghost)
    for (const info of members) {
      if (this.#members.has(info.id)) this.#known(info)
      else if (!this.#ghosts.has(info.id) || !info.away) this.#meet(info, this.#options.offerer === 'newcomer' && info.dialect !== 'socket.io', !first)
    }
    if (!first) return this.#configure()
    this.#created = created
    this.#watch()
    this.#joining?.resolve(this)
    this.#joining = null
    setTimeout(() => {
      const early = this.#early ?? []
      this.#early = null
      for (const step of early) this.#emit('step', step)
      this.#demandRelay()
    })
  }

  /** Lets the connections know what holds now. @param {boolean} [always]  See `Member`. */
  #configure(always = false) {
    this.#demandRelay()
    if (!always && this.#options.iceServers) return
    for (const member of this.#members.values()) void member.configure(this.#host.config(), always)
  }

  #demandRelay() {
    if (this.#relayOnly && !/"turns?:/i.test(JSON.stringify(this.#host.config().iceServers))) {
      this.#emit('error', { error: new SwitchboardError('no-relay', 'Your address is to stay hidden, which takes a relay (TURN), and the server names none: no connection can be made.') })
    }
  }

  #watch() {
    const { signal } = this.#away
    let then = performance.now()
    const ticking = setInterval(() => {
      const now = performance.now()
      // While the computer slept it did not listen.
      const ms = Math.min(now - then, 1500)
      then = now
      this.#signalling.tick(ms)
      for (const member of [...this.#members.values()]) member.tick(ms, navigator.onLine)
    }, 1000)
    signal.addEventListener('abort', () => clearInterval(ticking))
    const check = () => this.#signalling.check()
    const changed = () => {
      this.#step('network-changed', 'The network has changed.')
      check()
      for (const member of this.#members.values()) member.networkChanged()
    }
    addEventListener('pagehide', () => {
      this.#farewell('lost')
      this.#dismiss('left')
    }, { signal })
    addEventListener('pageshow', ({ persisted }) => { if (persisted) this.#signalling.connect() }, { signal })
    document.addEventListener('visibilitychange', () => { if (!document.hidden) check() }, { signal })
    addEventListener('online', changed, { signal })
    const { connection } = /** @type {Navigator & { connection?: EventTarget & { type?: string } }} */ (navigator)
    let type = connection?.type
    connection?.addEventListener('change', () => {
      // It tells of estimated speeds too.
      if (type === connection.type) return check()
      type = connection.type
      changed()
    }, { signal })
  }

  /** @type {import('./types.js').SignallingListener['message']} */
  #message({ type, from, data, peer, id, name, reason }) {
    const member = this.#members.get(id)
    switch (type) {
      case 'offer':
      case 'answer':
      case 'candidate': return this.#signal(type, from, data)
      case 'peer-joined': return this.#came(peer)
      case 'peer-away': return member?.lostSocket()
      case 'peer-back': return this.#back(id)
      case 'peer-renamed': return this.#renamed(id, name)
      case 'peer-left':
        this.#ghosts.delete(id)
        return member?.serverLeft(reason === 'left' || reason === 'removed' ? reason : 'lost')
      default: this.#step('unknown-message', `The server sent “${type.slice(0, 64)}”`)
    }
  }

  /** @param {'offer' | 'answer' | 'candidate'} type @param {string} from @param {unknown} data */
  #signal(type, from, data) {
    // Whoever offers is there; but a goodbye may have overtaken the offer.
    const ghost = this.#ghosts.get(from)
    if (type === 'offer' && ghost && !ghost.bye) this.#meet(ghost.info, false, true)
    const member = this.#members.get(from)
    if (member) member.receive({ type, data })
    else this.#step(`${type}-ignored`, `From ${from}, who is not here.`)
  }

  /** @param {MemberInfo} info */
  #came(info) {
    if (this.#members.has(info.id)) this.#known(info)
    else this.#meet(info, this.#options.offerer !== 'newcomer' || info.dialect === 'socket.io', true)
  }

  /** @param {MemberInfo} info */
  #known({ id, name, away }) {
    this.#renamed(id, name)
    const member = this.#members.get(id)
    if (away) member?.lostSocket()
    else member?.vouch()
  }

  /** @param {string} id */
  #back(id) {
    const ghost = this.#ghosts.get(id)
    if (ghost) this.#meet(ghost.info, true, true)
    else this.#members.get(id)?.vouch()
  }

  /** @param {string} id @param {string} name */
  #renamed(id, name) {
    const member = this.#members.get(id)
    if (!member || member.name === name) return
    const was = member.name
    member.name = name
    this.#emit('renamed', { peer: member.peer, name, was })
  }

  /** @param {MemberInfo} info @param {boolean} offer  Whether it is our turn. @param {boolean} tell  Not of those who were here before us. */
  #meet(info, offer, tell) {
    if (info.id === this.#selfId) return
    this.#ghosts.delete(info.id)
    const member = new Member(info, this.#selfId, this.#maxBytes, this.#host)
    const { peer } = member
    this.#members.set(info.id, member)
    this.#peers.set(info.id, peer)
    if (tell) this.#emit('peer', { peer })
    member.begin(offer)
  }

  /** @param {Member} member @param {LeaveReason} reason @param {boolean} byServer */
  #left({ id, name, dialect, peer }, reason, byServer) {
    this.#members.delete(id)
    this.#peers.delete(id)
    if (!byServer) this.#ghosts.set(id, { info: { id, name, dialect, away: false }, bye: reason === 'left' })
    this.#emit('peerleft', { peer, reason })
  }

  /** @param {RoomEvents['signalling']} change */
  #signallingChanged(change) {
    this.#emit('signalling', change)
    if (change.state === 'lost') for (const member of this.#members.values()) member.cutOff()
  }

  /** @param {'closed' | 'lost'} state @returns {RTCDataChannel[]}  To be closed once they are empty. */
  #farewell(state) {
    for (const member of this.#members.values()) member.farewell()
    this.#signalling.close(state)
    return [...this.#members.values()].flatMap(({ channel }) => channel ?? [])
  }

  /** @param {LeaveReason} reason */
  #dismiss(reason) {
    for (const member of [...this.#members.values()]) member.leave(reason, true)
    this.#ghosts.clear()
  }

  /** @param {readonly (string | Peer)[]} to */
  #named(to) {
    const ids = to.map(peer => typeof peer === 'string' ? peer : peer?.id)
    if (!ids.every(id => typeof id === 'string')) throw new SwitchboardError('bad-target', '“to” names peers or their ids; leave it out to send to all.')
    return [...new Set(ids)].map(id => {
      const member = this.#members.get(id)
      if (member) return member
      throw new SwitchboardError('peer-not-found', `Nobody here has the id ${id}.`)
    })
  }

  /** @param {Member} member @param {Message} message @param {Receipt} receipt */
  #sendTo(member, message, receipt) {
    const { id, peer } = member
    /** @type {Delivering} */
    const recipient = {
      changed: (state, final) => {
        receipt.changed(id, state, final)
        this.#emit('delivery', { id: message.id, peer, state })
      },
      progressed: bytes => receipt.progressed(id, bytes),
      failed: error => this.#emit('error', { error }),
    }
    try {
      member.send(message, recipient)
    } catch (error) {
      recipient.changed('failed', true)
      recipient.failed(/** @type {SwitchboardError} */ (error))
    }
  }

  /** @param {string} kind @param {string} text @param {object} [detail] */
  #step(kind, text, detail) {
    this.#emit('step', { time: new Date(), kind, text, ...detail && { detail } })
  }

  /** @template {keyof RoomEvents} T @param {T} type @param {RoomEvents[T]} detail */
  #emit(type, detail) {
    if (type !== 'step' || this.#early === null) this.dispatchEvent(new CustomEvent(type, { detail }))
    else if (this.#early.length < EARLY_STEPS) this.#early.push(/** @type {Step} */ (detail))
  }
}

/** A message on its way out; recipients read it piece by piece. */
export class Message {
  id = randomId()
  at = Date.now()
  /** @type {string | null} The text, where there is one. */
  text = null
  /** @type {Uint8Array | Blob} */
  #source

  /** @param {Data} data  Copied: later changes by the caller do not reach the recipients. */
  constructor(data) {
    if (typeof data === 'string') {
      this.text = data
      this.#source = new TextEncoder().encode(data)
    } else if (data instanceof Blob) this.#source = data
    else if (data instanceof ArrayBuffer) this.#source = new Uint8Array(data.slice(0))
    else if (ArrayBuffer.isView(data)) this.#source = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
    else throw new SwitchboardError('bad-data', 'Send a string, an ArrayBuffer, a view of one or a Blob.')
  }

  get binary() {
    return this.text === null
  }

  get bytes() {
    return this.#source instanceof Blob ? this.#source.size : this.#source.length
  }

  /** Whether it travels in one frame. */
  get short() {
    return this.text !== null && this.text.length <= SHORT_TEXT
  }

  /** @param {number} from @param {number} to @returns {Uint8Array | Promise<Uint8Array>} */
  read(from, to) {
    if (this.#source instanceof Blob) return this.#source.slice(from, to).arrayBuffer().then(buffer => new Uint8Array(buffer))
    return this.#source.subarray(from, to)
  }
}

/** @implements {Sent} */
export class Receipt {
  id
  /** @type {Map<string, Delivery>} */
  to
  /** @type {Promise<void>} */
  done
  #total
  #onProgress
  /** @type {Map<string, number>} Bytes handed to the channels of those that are not settled. */
  #handed
  #finish = () => {}

  /** @param {Message} message @param {string[]} to @param {((sent: number, total: number) => void) | undefined} onProgress */
  constructor({ id, bytes }, to, onProgress) {
    this.id = id
    this.#total = bytes
    this.#onProgress = onProgress
    this.to = new Map(to.map(peer => [peer, 'queued']))
    this.#handed = new Map(to.map(peer => [peer, 0]))
    this.done = new Promise(resolve => { this.#finish = resolve })
    if (to.length === 0) this.#finish()
  }

  /** @param {string} peer @param {Delivery} state @param {boolean} final */
  changed(peer, state, final) {
    this.to.set(peer, state)
    if (final && this.#handed.delete(peer) && this.#handed.size === 0) this.#finish()
  }

  /** @param {string} peer @param {number} bytes */
  progressed(peer, bytes) {
    if (!this.#handed.has(peer)) return
    this.#handed.set(peer, bytes)
    this.#onProgress?.(Math.min(...this.#handed.values()), this.#total)
  }
}

/**
 * Enters a room.
 * @param {string | null} roomId  Null for a new one.
 * @param {JoinOptions} [options]
 * @returns {Promise<Room>}  Rejected with a `SwitchboardError` where the server refuses or cannot be reached.
 */
export async function join(roomId, options = {}) {
  return new Room(roomId, options).enter()
}

/** @param {string | URL | undefined} server */
function socketUrl(server) {
  try {
    const url = new URL(server ?? new URL('..', import.meta.url))
    url.protocol = url.protocol.replace('http', 'ws')
    url.search = url.hash = ''
    url.pathname = `${url.pathname.replace(/\/$/, '')}/ws`
    return url.href
  } catch (cause) {
    throw new SwitchboardError('bad-server', `“${server}” is not the address of a server.`, cause)
  }
}

/** Lets out what is still to be sent. @param {RTCDataChannel} channel */
const drained = channel => new Promise(resolve => {
  channel.addEventListener('close', resolve)
  channel.close()
})

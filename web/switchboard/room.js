//! A room one is in: its members, what is sent to them, and the events of it all. It introduces the server's words
//! (signalling.js) to the members (member.js) and decides nothing about connections itself.

import { SwitchboardError } from './errors.js'
import { Member } from './member.js'
import { Message, Receipt } from './message.js'
import { id as readId, readMember, string } from './messages.js'
import { watchPage } from './page.js'
import { Peer, senders } from './peer.js'
import { Signalling } from './signalling.js'

/**
 * @typedef {import('./types.js').JoinOptions} JoinOptions
 * @typedef {import('./types.js').RoomEvents} RoomEvents
 * @typedef {import('./types.js').LeaveReason} LeaveReason
 * @typedef {import('./types.js').Data} Data
 * @typedef {import('./types.js').Recipient} Recipient
 * @typedef {import('./types.js').SendOptions} SendOptions
 * @typedef {import('./types.js').Sent} Sent
 * @typedef {import('./types.js').Step} Step
 * @typedef {import('./messages.js').MemberInfo} MemberInfo
 * @typedef {import('./messages.js').Fields} Fields
 * @typedef {import('./signalling.js').Entered} Entered
 */

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
/** How long a goodbye may take to get out. */
const FAREWELL_MS = 300
/** Steps before `join` answers, when nobody can listen yet. */
const EARLY_STEPS = 100

/** A room one is in. Made by `join`. */
export class Room extends EventTarget {
  #options
  #signalling
  /** @type {Map<string, Member>} */
  #members = new Map()
  /** @type {Map<string, Peer>} */
  #peers = new Map()
  /** Who has left by what we saw, while the server has not said so. @type {Map<string, { info: MemberInfo, bye: boolean }>} */
  #ghosts = new Map()
  #created = false
  #selfId = ''
  /** @type {Step[] | null} */
  #early = []
  #unwatch = () => {}
  #maxBytes
  /** @type {{ resolve: (room: Room) => void, reject: (error: unknown) => void } | null} */
  #joining = null

  /**
   * @param {string | null} roomId
   * @param {JoinOptions} options
   */
  constructor(roomId, options) {
    super()
    this.#options = options
    this.#maxBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES
    this.#signalling = new Signalling({ url: socketUrl(options.server), room: roomId, name: options.name ?? '', ifMissing: options.ifMissing }, {
      entered: entered => this.#entered(entered),
      message: message => this.#message(message),
      state: change => this.#signallingChanged(change),
      step: (kind, text, detail) => this.#step(undefined, kind, text, detail),
      error: error => this.#emit('error', { error }),
      refused: error => this.#refused(error),
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

  /** The others, by their ids. @returns {ReadonlyMap<string, Peer>} */
  get peers() {
    return this.#peers
  }

  get signalling() {
    return this.#signalling.state
  }

  /**
   * Sends a message directly to the peers. Texts keep their order; a large one may be overtaken by later short ones.
   * @param {Data} data
   * @param {SendOptions} [options]
   * @returns {Sent}
   * @throws {SwitchboardError} `too-large`, `bad-data`, `peer-not-found`
   */
  send(data, { to, onProgress } = {}) {
    const message = new Message(data)
    if (message.bytes > this.#maxBytes) {
      throw new SwitchboardError('too-large', `A message may have at most ${this.#maxBytes} bytes; this one has ${message.bytes}.`)
    }
    const members = this.#recipients(to)
    const receipt = new Receipt(message, members.map(({ id }) => id), onProgress)
    for (const member of members) this.#sendTo(member, message, receipt)
    return receipt
  }

  /**
   * Changes how the others see one.
   * @param {string} name
   */
  rename(name) {
    this.#signalling.rename(name)
  }

  /** Says goodbye to everybody and ends all connections. Idempotent. */
  async leave() {
    if (this.signalling === 'closed') return
    const channels = this.#farewell()
    this.#signalling.close()
    this.#unwatch()
    await Promise.race([Promise.all(channels.map(drained)), delay(FAREWELL_MS)])
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

  /**
   * Enters; for `join` alone, once.
   * @returns {Promise<Room>}
   */
  enter() {
    const { signal } = this.#options
    return new Promise((resolve, reject) => {
      this.#joining = { resolve, reject }
      signal?.throwIfAborted()
      signal?.addEventListener('abort', () => {
        this.#joining?.reject(signal.reason)
        this.#joining = null
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
    const listed = new Set(members.map(member => member.id))
    for (const member of [...this.#members.values()]) {
      if (listed.has(member.id)) member.signallingOpened()
      else this.#unlisted(member)
    }
    for (const ghost of this.#ghosts.keys()) if (!listed.has(ghost)) this.#ghosts.delete(ghost)
    for (const info of members) {
      if (this.#members.has(info.id)) this.#known(info)
      else if (!this.#ghosts.has(info.id) || !info.away) this.#meet(info, this.#options.offerer === 'newcomer' && info.dialect !== 'socket.io', !first)
    }
    if (!first) return
    this.#created = created
    this.#settleIn()
  }

  /** Somebody the server does not know of (any more, or yet). @param {Member} member */
  #unlisted(member) {
    if (member.state === 'connecting') member.leave('lost', true)
    else member.unvouch()
  }

  #settleIn() {
    let then = performance.now()
    const ticking = setInterval(() => {
      const now = performance.now()
      // A computer that slept was not listening: that time does not count.
      this.#tick(Math.min(now - then, 1500))
      then = now
    }, 1000)
    const unwatch = watchPage({
      hidden: () => this.#pageHidden(),
      shown: () => this.#signalling.connect(),
      looked: () => this.#signalling.check(),
      networkChanged: () => this.#networkChanged(),
    })
    this.#unwatch = () => {
      clearInterval(ticking)
      unwatch()
    }
    this.#joining?.resolve(this)
    this.#joining = null
    setTimeout(() => {
      const early = this.#early ?? []
      this.#early = null
      for (const step of early) this.#emit('step', step)
    })
  }

  /** @param {number} ms */
  #tick(ms) {
    this.#signalling.tick(ms)
    for (const member of [...this.#members.values()]) member.tick(ms, navigator.onLine !== false)
  }

  /** @param {SwitchboardError} error */
  #refused(error) {
    this.#joining?.reject(error)
    this.#joining = null
  }

  /**
   * About a peer, or from one.
   * @param {Fields & { type: string }} message
   */
  #message(message) {
    switch (message.type) {
      case 'offer':
      case 'answer':
      case 'candidate': return this.#signal(message.type, readId(message['from']), message['data'])
      case 'peer-joined': return this.#came(readMember(message['peer']))
      case 'peer-left': return this.#serverLeft(readId(message['id']), message['reason'])
      case 'peer-away': return this.#members.get(readId(message['id']))?.lostSocket()
      case 'peer-back': return this.#back(readId(message['id']))
      case 'peer-renamed': return this.#renamed(readId(message['id']), string(message, 'name').slice(0, 256))
      case 'undelivered': return this.#step(this.#members.get(string(message, 'to')), 'undelivered', 'The server could not pass a message on.', message)
      default: this.#step(undefined, 'unknown-message', `The server sent “${message.type.slice(0, 64)}”, which this version does not know.`)
    }
  }

  /**
   * @param {'offer' | 'answer' | 'candidate'} type
   * @param {string} from
   * @param {unknown} data
   */
  #signal(type, from, data) {
    // Whoever offers is there, unless it said goodbye since: then the offer was overtaken.
    const ghost = this.#ghosts.get(from)
    if (type === 'offer' && ghost && !ghost.bye) this.#meet(ghost.info, false, true)
    const member = this.#members.get(from)
    if (member) member.receive({ type, data })
    else this.#step(undefined, `${type}-ignored`, `From ${from}, who is not here.`)
  }

  /** @param {MemberInfo} info */
  #came(info) {
    if (this.#members.has(info.id)) this.#known(info)
    else this.#meet(info, this.#options.offerer !== 'newcomer' || info.dialect === 'socket.io', true)
  }

  /** Somebody who was here all along, seen by the server again. @param {MemberInfo} info */
  #known({ id, name, away }) {
    this.#renamed(id, name)
    if (away) this.#members.get(id)?.lostSocket()
    else this.#members.get(id)?.vouch()
  }

  /** @param {string} id */
  #back(id) {
    const ghost = this.#ghosts.get(id)
    if (ghost) this.#meet(ghost.info, true, true)
    else this.#members.get(id)?.vouch()
  }

  /**
   * @param {string} id
   * @param {unknown} reason
   */
  #serverLeft(id, reason) {
    this.#ghosts.delete(id)
    this.#members.get(id)?.serverLeft(reason === 'left' || reason === 'removed' ? reason : 'lost')
  }

  /**
   * @param {string} id
   * @param {string} name
   */
  #renamed(id, name) {
    const member = this.#members.get(id)
    if (!member || member.name === name) return
    const was = member.name
    member.name = name
    this.#emit('renamed', { peer: member.peer, name, was })
  }

  /**
   * @param {MemberInfo} info
   * @param {boolean} offer  Whether it is our turn.
   * @param {boolean} tell  Those who were here before us are not told.
   */
  #meet(info, offer, tell) {
    if (info.id === this.#selfId) return
    this.#ghosts.delete(info.id)
    const member = new Member(info, { selfId: this.#selfId, maxBytes: this.#maxBytes }, {
      config: () => this.#config(),
      signal: (type, to, data) => this.#signalling.send({ type, to, data, ref: to }),
      connection: ({ peer, connection }) => this.#emit('connection', { peer, connection }),
      state: ({ peer, state }, was) => this.#emit('peerstate', { peer, state, was }),
      left: (left, reason, byServer) => this.#left(left, reason, byServer),
      message: ({ peer }, { id, data, at }) => this.#emit('message', {
        peer, data, id, sentAt: date(at), receivedAt: new Date(), binary: typeof data !== 'string',
      }),
      progress: ({ peer }, id, received, total) => this.#emit('progress', { peer, id, received, total }),
      track: ({ peer }, { track, streams }) => this.#emit('track', { peer, track, streams }),
      step: (at, kind, text, detail) => this.#step(at, kind, text, detail),
      error: (_at, error) => this.#emit('error', { error }),
    })
    const { peer } = member
    senders.set(peer, (data, options) => this.send(data, options))
    this.#members.set(info.id, member)
    this.#peers.set(info.id, peer)
    if (tell) this.#emit('peer', { peer })
    member.begin(offer)
  }

  /**
   * @param {Member} member
   * @param {LeaveReason} reason
   * @param {boolean} byServer
   */
  #left(member, reason, byServer) {
    if (this.#members.get(member.id) !== member) return
    this.#members.delete(member.id)
    this.#peers.delete(member.id)
    const { id, name, dialect, peer } = member
    if (!byServer) this.#ghosts.set(id, { info: { id, name, dialect, away: false }, bye: reason === 'left' })
    this.#emit('peerleft', { peer, reason })
  }

  /** @param {RoomEvents['signalling']} change */
  #signallingChanged(change) {
    this.#emit('signalling', change)
    if (change.state === 'lost') for (const member of this.#members.values()) member.unvouch()
  }

  #networkChanged() {
    this.#step(undefined, 'network-changed', 'The network has changed.')
    this.#signalling.check()
    for (const member of this.#members.values()) member.networkChanged()
  }

  /** The page goes, perhaps for ever: whoever can be told is told now. */
  #pageHidden() {
    this.#farewell()
    this.#signalling.pause()
    this.#dismiss('left')
  }

  /** @returns {RTCDataChannel[]}  To be closed once they are empty. */
  #farewell() {
    for (const member of this.#members.values()) member.farewell()
    return [...this.#members.values()].flatMap(({ channel }) => channel ?? [])
  }

  /** @param {LeaveReason} reason */
  #dismiss(reason) {
    for (const member of [...this.#members.values()]) member.leave(reason, true)
    this.#ghosts.clear()
  }

  /** @returns {RTCConfiguration} */
  #config() {
    return { ...this.#options.rtc, iceServers: this.#options.iceServers ?? this.#signalling.iceServers }
  }

  /** @param {SendOptions['to']} to */
  #recipients(to) {
    if (to === undefined) return [...this.#members.values()]
    const list = /** @type {Recipient[]} */ ([to].flat())
    return [...new Set(list.map(recipient => typeof recipient === 'string' ? recipient : recipient.id))].map(id => {
      const member = this.#members.get(id)
      if (member) return member
      throw new SwitchboardError('peer-not-found', `Nobody with the id ${id} is in the room.`)
    })
  }

  /**
   * @param {Member} member
   * @param {Message} message
   * @param {Receipt} receipt
   */
  #sendTo(member, message, receipt) {
    const { id, peer } = member
    const fail = (/** @type {SwitchboardError} */ error) => this.#emit('error', { error })
    try {
      member.send(message, {
        changed: (state, final) => {
          receipt.changed(id, state, final)
          this.#emit('delivery', { id: message.id, peer, state })
        },
        progressed: bytes => receipt.progressed(id, bytes),
        failed: fail,
      })
    } catch (error) {
      if (!(error instanceof SwitchboardError)) throw error
      receipt.changed(id, 'failed', true)
      this.#emit('delivery', { id: message.id, peer, state: 'failed' })
      fail(error)
    }
  }

  /**
   * @param {Member | undefined} member
   * @param {string} kind
   * @param {string} text
   * @param {object} [detail]
   */
  #step(member, kind, text, detail) {
    const step = { time: new Date(), kind, text, ...member && { peer: member.peer }, ...detail && { detail } }
    if (this.#early === null) this.#emit('step', step)
    else if (this.#early.length < EARLY_STEPS) this.#early.push(step)
  }

  /**
   * @template {keyof RoomEvents} T
   * @param {T} type
   * @param {RoomEvents[T]} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
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
    if (!url.pathname.endsWith('/')) url.pathname += '/'
    url.search = url.hash = ''
    return new URL('ws', url).href
  } catch (cause) {
    throw new SwitchboardError('bad-server', `“${server}” is not the address of a server.`, cause)
  }
}

/**
 * A peer's clock says what it likes.
 * @param {number} at
 */
function date(at) {
  const time = new Date(at)
  return Number.isNaN(time.getTime()) ? null : time
}

/** @param {number} ms */
const delay = ms => new Promise(resolve => { setTimeout(resolve, ms) })

/**
 * Closes a channel and waits for what it still had to send.
 * @param {RTCDataChannel} channel
 */
const drained = channel => new Promise(resolve => {
  if (channel.readyState === 'closed') return resolve(undefined)
  channel.addEventListener('close', resolve, { once: true })
  channel.close()
})

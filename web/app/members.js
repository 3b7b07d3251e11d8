//! The board: a line for each person in the room, with how they are connected, as their browser measures it now.

import { el, icon, setText } from './dom.js'
import { bytes, candidateWords, pathLine, roundTrip } from './words.js'

/**
 * @typedef {import('../switchboard.js').Room} Room
 * @typedef {import('../switchboard.js').Peer} Peer
 * @typedef {import('../switchboard.js').Path} Path
 * @typedef {import('./people.js').People} People
 * @typedef {{ row: HTMLLIElement, name: HTMLElement, how: HTMLElement, facts: HTMLElement, since: number }} Line
 */

/** Statistics are asked for this often: often enough for a round trip to look alive. */
const POLL_MS = 2000
/** After this long without a connection the line says what may be in the way. */
const SLOW_MS = 15_000

export class Members {
  /** @type {Room} */
  #room
  /** @type {People} */
  #people
  /** @type {HTMLElement} */
  #list
  /** @type {HTMLElement[]} */
  #counts
  /** @type {Map<string, Line>} */
  #lines = new Map()
  /** @type {Map<string, Path>} */
  #paths = new Map()
  #self
  #polling = false

  /**
   * @param {Room} room
   * @param {People} people
   * @param {{ list: HTMLElement, counts: HTMLElement[], rename: () => void }} parts
   */
  constructor(room, people, { list, counts, rename }) {
    this.#room = room
    this.#people = people
    this.#list = list
    this.#counts = counts
    this.#self = selfLine(rename)
    list.append(this.#self.row)
    setInterval(() => void this.#poll(), POLL_MS)
    document.addEventListener('visibilitychange', () => void this.#poll())
    this.refresh()
  }

  /** The paths as last measured, for the counters elsewhere on the page. */
  get paths() {
    return /** @type {ReadonlyMap<string, Path>} */ (this.#paths)
  }

  /** Brings the board in line with the room. */
  refresh() {
    setText(this.#self.name, this.#room.self.name)
    for (const [id, line] of this.#lines) {
      if (this.#room.peers.has(id)) continue
      line.row.remove()
      this.#lines.delete(id)
      this.#paths.delete(id)
    }
    for (const peer of this.#room.peers.values()) this.#show(peer)
    for (const count of this.#counts) setText(count, String(this.#room.peers.size + 1))
  }

  /** Measures at once, as when a connection has just come up. */
  measure() {
    void this.#poll()
  }

  /** @param {Peer} peer */
  #show(peer) {
    const person = this.#people.meet(peer)
    let line = this.#lines.get(peer.id)
    if (!line) {
      line = peerLine(person.hue)
      this.#lines.set(peer.id, line)
      this.#list.append(line.row)
    }
    if (line.row.dataset['state'] !== peer.state) line.since = Date.now()
    line.row.dataset['state'] = peer.state
    line.row.classList.toggle('away', peer.away)
    setText(line.name, person.name)
    const path = peer.state === 'open' ? this.#paths.get(peer.id) ?? null : null
    setText(line.how, stateLine(peer, path, Date.now() - line.since))
    fillFacts(line.facts, peer, path)
  }

  async #poll() {
    if (this.#polling || document.visibilityState === 'hidden') return
    this.#polling = true
    try {
      const open = [...this.#room.peers.values()].filter(peer => peer.state === 'open')
      await Promise.all(open.map(async peer => {
        const path = await peer.path().catch(() => null)
        if (path) this.#paths.set(peer.id, path)
      }))
    } finally {
      this.#polling = false
    }
    this.refresh()
    this.#list.dispatchEvent(new CustomEvent('measured'))
  }
}

/**
 * @param {Peer} peer
 * @param {Path | null} path
 * @param {number} forMs  How long the state has lasted.
 */
export function stateLine(peer, path, forMs) {
  const away = peer.away ? ' · lost the server' : ''
  switch (peer.state) {
    case 'connecting': return forMs > SLOW_MS ? 'Still connecting: a firewall may be in the way' : 'Connecting…'
    case 'open': return (path ? pathLine(path) : 'Connected') + away
    case 'interrupted': return `Interrupted, trying to get back${away}`
    case 'left': return 'Left'
  }
}

/** @param {() => void} rename */
function selfLine(rename) {
  const name = el('bdi', { class: 'line-name', id: 'self-name' })
  const edit = el('button', { type: 'button', class: 'tool', id: 'rename' }, icon('edit'), el('span', { class: 'vh' }, 'Change your name'))
  edit.addEventListener('click', rename)
  const row = el('li', { class: 'line self', 'data-state': 'open' }, el('span', { class: 'jack', 'aria-hidden': 'true' }),
    el('div', { class: 'line-words' }, name, el('span', { class: 'line-how' }, 'You')), edit)
  return { row, name }
}

/**
 * @param {number} hue
 * @returns {Line}
 */
function peerLine(hue) {
  const name = el('bdi', { class: 'line-name' })
  const how = el('span', { class: 'line-how' })
  const facts = el('dl', { class: 'facts' })
  const row = el('li', { class: `line hue-${hue}` }, el('span', { class: 'jack', 'aria-hidden': 'true' }),
    el('details', { class: 'line-words' }, el('summary', null, name, how), facts))
  return { row, name, how, facts, since: Date.now() }
}

/**
 * @param {HTMLElement} list
 * @param {Peer} peer
 * @param {Path | null} path
 */
function fillFacts(list, peer, path) {
  /** @type {[string, string][]} */
  const facts = []
  if (path) {
    const relay = path.relayProtocol ? `, to the relay by ${path.relayProtocol.toUpperCase()}` : ''
    facts.push(['Path', path.kind === 'direct' ? 'direct, browser to browser' : 'through a relay, encrypted end to end'],
      ['Your side', candidateWords(path.local)], ['Their side', candidateWords(path.remote)],
      ['Protocol', `${path.protocol.toUpperCase()}${relay}`], ['Round trip', roundTrip(path) || 'not measured yet'],
      ['Sent', bytes(path.bytesSent)], ['Received', bytes(path.bytesReceived)])
  }
  if (peer.dialect === 'socket.io') facts.push(['Program', 'a Socket.IO chat: text only, no receipts'])
  facts.push(['Trace', peer.traceId])
  const pairs = [...list.children]
  facts.forEach(([term, text], i) => {
    let pair = pairs[i]
    if (!pair) {
      pair = el('div', null, el('dt'), el('dd'))
      list.append(pair)
    }
    setText(/** @type {Node} */ (pair.firstChild), term)
    setText(/** @type {Node} */ (pair.lastChild), text)
  })
  for (const pair of pairs.slice(facts.length)) pair.remove()
}

//! Joins, departures, openings and renamings, as lines of the log. Each is told once; the client sees to that.

import { el } from './dom.js'
import { nameOf } from './log.js'
import { callName } from './names.js'
import { listNames, pathWords } from './words.js'

/**
 * @typedef {import('../switchboard.js').Room} Room
 * @typedef {import('../switchboard.js').Peer} Peer
 * @typedef {import('./people.js').People} People
 * @typedef {import('./log.js').Log} Log
 */

/** @type {Record<'left' | 'lost' | 'removed' | 'gone', string>} */
const DEPARTURES = {
  left: ' left.',
  lost: ' is gone: the connection was lost.',
  removed: ' was disconnected by the server.',
  gone: ' is gone.',
}

/** A connection that is replaced, as when somebody hides their address, is back sooner; that is no fault to report. */
const LASTING_MS = 3000

/**
 * Writes the lines.
 * @param {Room} room
 * @param {{ people: People, log: Log, settle: () => void }} parts
 */
export function tellPresence(room, { people, log, settle }) {
  /** @type {WeakSet<Peer>} */
  const greeted = new WeakSet()
  const greet = async (/** @type {Peer} */ peer) => {
    if (greeted.has(peer)) return
    greeted.add(peer)
    const path = await peer.path().catch(() => null)
    if (peer.state === 'left') return
    log.line('You and ', nameOf(people.meet(peer)), ` are connected${pathWords(path)}. Say hello!`)
    settle()
  }
  /** Who is interrupted, and it may be short. @type {Map<Peer, ReturnType<typeof setTimeout>>} */
  const noted = new Map()
  const broken = (/** @type {Peer} */ peer) => {
    noted.delete(peer)
    log.line('The connection to ', nameOf(people.meet(peer)), ' is interrupted; trying to get it back.')
    settle()
  }
  const mended = (/** @type {Peer} */ peer) => {
    if (noted.has(peer)) log.line('The connection to ', nameOf(people.meet(peer)), ' was made anew.')
    else log.line('You and ', nameOf(people.meet(peer)), ' are connected again.')
  }
  tellArrival(room, { people, log })
  room.on('peer', ({ peer }) => {
    log.line(nameOf(people.meet(peer)), ' joined.')
    settle()
  })
  room.on('peerstate', ({ peer, state, was }) => {
    if (state === 'open') {
      if (was === 'interrupted') mended(peer)
      else void greet(peer)
    }
    clearTimeout(noted.get(peer))
    noted.delete(peer)
    if (state === 'interrupted') noted.set(peer, setTimeout(() => broken(peer), LASTING_MS))
    settle()
  })
  room.on('peerleft', ({ peer, reason }) => {
    log.line(nameOf(people.recall(peer.id)), DEPARTURES[reason])
    settle()
  })
  room.on('renamed', ({ peer, name, was }) => {
    log.line(el('bdi', null, callName({ id: peer.id, name: was })), ' is now called ', nameOf(people.meet(peer)), name === '' ? ' (without a name).' : '.')
    settle()
  })
  for (const peer of room.peers.values()) if (peer.state === 'open') void greet(peer)
}

/**
 * @param {Room} room
 * @param {{ people: People, log: Log }} parts
 */
function tellArrival(room, { people, log }) {
  const here = [...room.peers.values()].map(peer => people.meet(peer).name)
  if (here.length > 0) log.line(`You joined. ${listNames(here, 4)} ${here.length === 1 ? 'is' : 'are'} here.`)
  else log.line(room.created ? 'You opened this room.' : 'You joined this room; nobody else is here at the moment.')
}

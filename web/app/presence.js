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
  tellArrival(room, { people, log })
  room.on('peer', ({ peer }) => {
    log.line(nameOf(people.meet(peer)), ' joined.')
    settle()
  })
  room.on('peerstate', ({ peer, state, was }) => {
    if (state === 'open') {
      if (was === 'interrupted') log.line('You and ', nameOf(people.meet(peer)), ' are connected again.')
      else void greet(peer)
    }
    if (state === 'interrupted') log.line('The connection to ', nameOf(people.meet(peer)), ' is interrupted; trying to get it back.')
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

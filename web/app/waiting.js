//! Says so when connecting to somebody takes long, and what may be in the way: on a phone the board is out of sight.

import { listNames } from './words.js'

/**
 * @typedef {import('../switchboard.js').Room} Room
 * @typedef {import('./people.js').People} People
 * @typedef {import('./notices.js').Notices} Notices
 */

/** Connecting takes well under a second where nothing is in the way; a word earlier would only flicker. */
const NOTED_MS = 2500
/** By now every candidate has been tried; what helps is another network. */
const LONG_MS = 15_000
const LOOK_MS = 1000

/**
 * Watches the room's connections.
 * @param {Room} room
 * @param {{ people: People, notices: Notices }} parts
 */
export function tellWaiting(room, { people, notices }) {
  /** @type {Map<string, number>} */
  const since = new Map()
  const look = () => {
    const now = Date.now()
    // Who has lost the server cannot be introduced; that is said on the board and is no matter of networks.
    const waiting = [...room.peers.values()].filter(peer => peer.state === 'connecting' && !peer.away)
    for (const id of since.keys()) if (!waiting.some(peer => peer.id === id)) since.delete(id)
    for (const { id } of waiting) if (!since.has(id)) since.set(id, now)
    const longer = (/** @type {number} */ ms) => waiting.filter(({ id }) => now - (since.get(id) ?? now) >= ms).map(peer => people.meet(peer).name)
    const long = longer(LONG_MS)
    const noted = longer(NOTED_MS)
    if (long.length > 0) {
      notices.show('waiting', { tone: 'warn', state: true, title: `No way to ${listNames(long)} has been found yet.`,
        text: 'A firewall or a mobile network may be in between. The page keeps trying; another network, such as Wi-Fi instead of mobile data, may help on either side.',
        actions: [{ label: 'Test the connection', act: () => void window.open('/diagnostics', '_blank', 'noopener') }] })
    } else if (noted.length > 0) {
      notices.show('waiting', { tone: 'info', title: `Connecting to ${listNames(noted)}…`, text: '', busy: true, closable: false })
    } else notices.hide('waiting')
  }
  setInterval(look, LOOK_MS)
  room.on('peerstate', look)
  room.on('peerleft', look)
}

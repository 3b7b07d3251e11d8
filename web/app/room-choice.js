//! Which room to enter, and the link that leads to it.
//! The rule for ids is that of docs/protocol/rooms.md; nothing here touches the page.

/** 4 to 64 characters of the nanoid alphabet. */
const ROOM_ID = /^[A-Za-z0-9_-]{4,64}$/
/** What a script writes into a link when it had no id at hand; it would gather strangers in one room. */
const NOT_AN_ID = new Set(['undefined', 'null'])

/**
 * Says whether a room can have this id.
 * @param {unknown} id
 * @returns {id is string}
 */
export const isRoomId = id => typeof id === 'string' && ROOM_ID.test(id) && !NOT_AN_ID.has(id)

/**
 * @typedef {object} Choice
 * @property {string | null} id  The room to enter; null asks for a new one.
 * @property {'link' | 'storage' | 'new'} from
 * @property {string | null} rejected  What the link named, when no room can be called that.
 */

/**
 * Chooses the room: the link wins over what was remembered, and that over a new room.
 * @param {string} search  The query part of the address.
 * @param {string | null} remembered
 * @returns {Choice}
 */
export function chooseRoom(search, remembered) {
  const query = new URLSearchParams(search)
  const named = query.get('roomId') ?? query.get('room')
  const rejected = named ? named.slice(0, 80) : null
  if (isRoomId(named)) return { id: named, from: 'link', rejected: null }
  if (isRoomId(remembered)) return { id: remembered, from: 'storage', rejected }
  return { id: null, from: 'new', rejected }
}

/**
 * The address that leads to a room, and to nothing else that happened to be in ours.
 * @param {string} here  The page's own address.
 * @param {string | null} id  null gives the page without a room.
 */
export function roomLink(here, id) {
  const url = new URL(here)
  url.search = ''
  url.hash = ''
  if (id !== null) url.searchParams.set('roomId', id)
  return url.href
}

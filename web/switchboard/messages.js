//! What the server sends (docs/protocol/rooms.md), read with suspicion: the module believes nothing that it has not
//! checked, so that a faulty server costs an `error` event and nothing more.

import { SwitchboardError } from './errors.js'

/** @typedef {{ id: string, name: string, dialect: import('./types.js').Dialect, away: boolean }} MemberInfo */

/**
 * @typedef {object} Welcome
 * @property {string} id
 * @property {string} resume
 * @property {boolean} resumed
 * @property {{ room: string, members: MemberInfo[] }[]} rooms
 * @property {RTCIceServer[]} iceServers
 * @property {number} messageBytes
 */

/** @typedef {Record<string, unknown>} Fields */

/** More than any room holds. */
const MEMBERS = 4096
const NAME = 256

/**
 * Reads a frame of the server.
 * @param {unknown} data
 * @returns {Fields & { type: string }}
 */
export function readMessage(data) {
  if (typeof data !== 'string') throw wrong('a binary frame')
  /** @type {unknown} */
  let value
  try {
    value = JSON.parse(data)
  } catch {
    throw wrong('a frame that is not JSON')
  }
  const message = object(value, 'frame')
  return Object.assign(message, { type: string(message, 'type') })
}

/**
 * @param {Fields} message
 * @returns {Welcome}
 */
export function readWelcome(message) {
  const limits = object(message['limits'] ?? {}, 'limits')
  return {
    id: id(message['id']),
    resume: string(message, 'resume'),
    resumed: message['resumed'] === true,
    rooms: array(message['rooms'] ?? [], 'rooms').map(entry => {
      const room = object(entry, 'room')
      return { room: string(room, 'room'), members: readMembers(room) }
    }),
    iceServers: array(message['iceServers'] ?? [], 'iceServers').map(readIceServer),
    messageBytes: typeof limits['messageBytes'] === 'number' ? limits['messageBytes'] : 65_536,
  }
}

/** @param {Fields} message */
export const readMembers = message => array(message['members'], 'members').slice(0, MEMBERS).map(readMember)

/**
 * @param {unknown} value
 * @returns {MemberInfo}
 */
export function readMember(value) {
  const member = object(value, 'peer')
  const { name, dialect, away } = member
  return {
    id: id(member['id']),
    name: typeof name === 'string' ? name.slice(0, NAME) : '',
    dialect: dialect === 'socket.io' ? dialect : 'switchboard',
    away: away === true,
  }
}

/**
 * @param {unknown} value
 * @returns {RTCIceServer}
 */
function readIceServer(value) {
  const { urls, username, credential } = object(value, 'ICE server')
  const list = typeof urls === 'string' ? [urls] : array(urls, 'urls').filter(url => typeof url === 'string')
  return { urls: list, ...typeof username === 'string' && { username }, ...typeof credential === 'string' && { credential } }
}

/**
 * A peer's id.
 * @param {unknown} value
 */
export function id(value) {
  if (typeof value === 'string' && value.length > 0 && value.length <= 64) return value
  throw wrong('a peer without an id')
}

/**
 * @param {Fields} fields
 * @param {string} name
 */
export function string(fields, name) {
  const value = fields[name]
  if (typeof value === 'string') return value
  throw wrong(`a message whose “${name}” is no text`)
}

/**
 * @param {unknown} value
 * @param {string} what
 */
function object(value, what) {
  if (typeof value === 'object' && value !== null) return /** @type {Fields} */ (value)
  throw wrong(`a ${what} that is no object`)
}

/**
 * @param {unknown} value
 * @param {string} what
 */
function array(value, what) {
  if (Array.isArray(value)) return /** @type {unknown[]} */ (value)
  throw wrong(`“${what}” that are no list`)
}

/** @param {string} what */
const wrong = what => new SwitchboardError('bad-server-message', `The server sent ${what}; it was ignored.`)

//! What crosses the wire, read with suspicion: messages of the server (docs/protocol/rooms.md) and frames of peers
//! (docs/protocol/channel.md) may be anything, and cost an `error` event at worst.

/** @import { Fields, Frame, MemberInfo, Welcome } from './types.js' */

/** Says what went wrong in a sentence, with a code to act upon: the server's, or one of docs/client.md. */
export class SwitchboardError extends Error {
  /** @param {string} code @param {string} message @param {unknown} [cause] */
  constructor(code, message, cause) {
    super(message, { cause })
    this.name = 'SwitchboardError'
    this.code = code
  }
}

/** @param {unknown} error */
export const ours = error => error instanceof SwitchboardError ? error : new SwitchboardError('internal', String(error), error)

/** 72 random bits. */
export const randomId = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(9)))).replaceAll('+', '-').replaceAll('/', '_')

/** @typedef {(value: any) => boolean} Check */
/** @typedef {Record<string, Check>} Shape  What each member must be. */

/** @type {Check} */
const text = value => typeof value === 'string'
/** @type {Check} */
const number = value => typeof value === 'number'
/** @type {Check} */
const boolean = value => typeof value === 'boolean'
/** @type {Check} */
const count = value => Number.isSafeInteger(value) && value >= 0
/** @type {Check} */
const stream = value => count(value) && value < 2 ** 32
/** @type {Check} */
const name = value => text(value) && /^[\w-]{1,64}$/.test(value)
/** @type {Check} */
const id = value => text(value) && /^[^]{1,64}$/.test(value)
/** @type {Check} */
const label = value => text(value) && value.length <= 256
/** @type {Check} */
const member = value => !misfit(value, { id, name: label, dialect: text, away: boolean })
/** @type {Check} */
const members = value => Array.isArray(value) && value.every(member)
/** @type {Check} */
const rooms = value => Array.isArray(value) && value.every(room => !misfit(room, JOINED))
/** @type {Check} */
const maybeServers = value => value === undefined || Array.isArray(value)

const JOINED = { room: text, members, iceServers: maybeServers }
const SIGNAL = { from: id }
/** @type {Record<string, Shape>} */
const MESSAGES = {
  welcome: { id, resume: text, resumed: boolean, rooms, iceServers: Array.isArray },
  joined: JOINED,
  'ice-servers': { room: text, iceServers: Array.isArray },
  error: { code: text, message: text },
  offer: SIGNAL,
  answer: SIGNAL,
  candidate: SIGNAL,
  'peer-joined': { peer: member },
  'peer-left': { id },
  'peer-away': { id },
  'peer-back': { id },
  renamed: { name: label },
  'peer-renamed': { id, name: label },
}
/** @type {Record<string, Shape>} */
const FRAMES = {
  hello: { maxBytes: count, totalBytes: count, streams: count },
  text: { id: name, text, at: number },
  begin: { id: name, stream, bytes: count, binary: boolean, at: number },
  cancel: { stream },
  ack: { id: name },
  refuse: { id: name, code: name, message: text },
  ping: { n: count },
  pong: { n: count },
  bye: {},
}

/** The member of a value that is not what it must be. @param {unknown} value @param {Shape} shape */
function misfit(value, shape) {
  const fields = /** @type {Fields} */ (Object(value))
  return Object.keys(shape).find(field => !shape[field]?.(fields[field]))
}

/**
 * Reads a JSON object that has a type.
 * @param {unknown} text
 * @param {Record<string, Shape>} shapes  Of the types that are known.
 * @param {(what: string) => SwitchboardError} wrong
 */
function read(text, shapes, wrong) {
  /** @type {Fields | null} */
  let value = null
  try {
    value = JSON.parse(/** @type {string} */ (text))
  } catch {}
  const type = value?.['type']
  if (typeof type !== 'string') throw wrong('what is no JSON object with a type')
  const known = Object.hasOwn(shapes, type)
  const field = misfit(value, known ? shapes[type] ?? {} : {})
  if (field) throw wrong(`“${type}” whose “${field}” is missing or not allowed`)
  return { ...value, type, known }
}

/** Reads a frame of the server. @param {unknown} data */
export const readMessage = data =>
  /** @type {Fields & Welcome & { type: string, room: string, members: MemberInfo[], from: string, peer: MemberInfo, code: string, message: string, name: string }} */
  (/** @type {any} */ (read(data, MESSAGES, what => new SwitchboardError('bad-server-message', `The server sent ${what}; it was ignored.`))))

export const PROTOCOL = 'switchboard.1'
/** Text of up to this many UTF-16 units travels in one frame: 48 KiB of JSON at worst (`\u0000`). */
export const SHORT_TEXT = 8 * 1024
/** A whole chunk frame: small, so that even a slow line shows life. */
export const CHUNK_FRAME = 16 * 1024
/** The stream's number before each chunk, big-endian. */
export const CHUNK_HEADER = 4
const TEXT_FRAME = 64 * 1024

/** Reads a text frame of a peer. @param {string} text @returns {Frame | null}  Null for a type of a later version, to be ignored. */
export function readFrame(text) {
  if (text.length > TEXT_FRAME) throw bad(`a text frame of ${text.length} characters`)
  const frame = read(text, FRAMES, bad)
  return frame.known ? /** @type {Frame} */ (/** @type {unknown} */ (frame)) : null
}

/** A piece of a message as a frame. @param {number} stream @param {Uint8Array} bytes */
export function chunkFrame(stream, bytes) {
  const frame = new Uint8Array(CHUNK_HEADER + bytes.length)
  new DataView(frame.buffer).setUint32(0, stream)
  frame.set(bytes, CHUNK_HEADER)
  return frame
}

/** Reads a binary frame. @param {ArrayBuffer} buffer */
export function readChunk(buffer) {
  if (buffer.byteLength <= CHUNK_HEADER) throw bad('a binary frame without contents')
  return { stream: new DataView(buffer).getUint32(0), bytes: new Uint8Array(buffer, CHUNK_HEADER) }
}

/** @param {string} what */
export const bad = what => new SwitchboardError('bad-frame', `The peer sent ${what}; it was ignored.`)

//! The frames of the `switchboard.1` subprotocol of the data channel: reading what a peer sent, which may be anything, and
//! writing ours. docs/protocol/channel.md is the specification.

import { SwitchboardError } from './errors.js'

/**
 * @typedef {{ type: 'hello', maxBytes: number, totalBytes: number, streams: number }} Hello
 * @typedef {{ type: 'text', id: string, text: string, at: number }} Text
 * @typedef {{ type: 'begin', id: string, stream: number, bytes: number, binary: boolean, at: number }} Begin
 * @typedef {{ type: 'cancel', stream: number }} Cancel
 * @typedef {{ type: 'ack', id: string }} Ack
 * @typedef {{ type: 'refuse', id: string, code: string, message: string }} Refuse
 * @typedef {{ type: 'ping' | 'pong', n: number }} Beat
 * @typedef {{ type: 'bye' }} Bye
 * @typedef {Hello | Text | Begin | Cancel | Ack | Refuse | Beat | Bye} Frame
 */

export const LABEL = 'switchboard'
export const PROTOCOL = 'switchboard.1'

/** Text of up to this many UTF-16 units travels in one frame: 48 KiB of JSON at worst (`\u0000`). */
export const SHORT_TEXT = 8 * 1024
/** A whole chunk frame. Small, so that even a slow line shows life every few seconds and a short text gets through. */
export const CHUNK_FRAME = 16 * 1024
/** The stream number before each chunk, big-endian. */
export const CHUNK_HEADER = 4
const TEXT_FRAME = 64 * 1024
const ID = /^[\w-]{1,64}$/

/**
 * Reads a text frame.
 * @param {string} text
 * @returns {Frame | null}  Null for a type of a later version, which is to be ignored.
 * @throws {SwitchboardError} `bad-frame`
 */
export function readFrame(text) {
  if (text.length > TEXT_FRAME) throw bad(`a text frame of ${text.length} characters; ${TEXT_FRAME} is the limit`)
  /** @type {unknown} */
  let value
  try {
    value = JSON.parse(text)
  } catch {
    throw bad('a text frame that is not JSON')
  }
  if (typeof value !== 'object' || value === null) throw bad('a text frame that is not a JSON object')
  const frame = /** @type {Record<string, unknown>} */ (value)
  const type = frame['type']
  if (typeof type !== 'string') throw bad('a frame without a type')
  const fields = Object.hasOwn(FIELDS, type) ? FIELDS[type] : undefined
  if (!fields) return null
  for (const [name, valid] of Object.entries(fields)) {
    if (!valid(frame[name])) throw bad(`a ${type} frame whose “${name}” is missing or not allowed`)
  }
  return /** @type {Frame} */ (value)
}

/** @param {unknown} value */
const isId = value => typeof value === 'string' && ID.test(value)
/** @param {unknown} value */
const isCount = value => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
/** @param {unknown} value */
const isStream = value => isCount(value) && /** @type {number} */ (value) <= 0xffff_ffff
/** @param {unknown} value */
const isString = value => typeof value === 'string'
/** @param {unknown} value */
const isNumber = value => typeof value === 'number'

/** @type {Record<string, Record<string, (value: unknown) => boolean>>} */
const FIELDS = {
  hello: { maxBytes: isCount, totalBytes: isCount, streams: isCount },
  text: { id: isId, text: isString, at: isNumber },
  begin: { id: isId, stream: isStream, bytes: isCount, binary: value => typeof value === 'boolean', at: isNumber },
  cancel: { stream: isStream },
  ack: { id: isId },
  refuse: { id: isId, code: isId, message: isString },
  ping: { n: isCount },
  pong: { n: isCount },
  bye: {},
}

/**
 * A chunk of a message.
 * @param {number} stream
 * @param {Uint8Array} bytes
 */
export function chunkFrame(stream, bytes) {
  const frame = new Uint8Array(CHUNK_HEADER + bytes.length)
  new DataView(frame.buffer).setUint32(0, stream)
  frame.set(bytes, CHUNK_HEADER)
  return frame
}

/**
 * Reads a binary frame.
 * @param {ArrayBuffer} buffer
 */
export function readChunk(buffer) {
  if (buffer.byteLength <= CHUNK_HEADER) throw bad('a binary frame without contents')
  return { stream: new DataView(buffer).getUint32(0), bytes: new Uint8Array(buffer, CHUNK_HEADER) }
}

/** @param {string} what */
export const bad = what => new SwitchboardError('bad-frame', `The peer sent ${what}; the frame was ignored.`)

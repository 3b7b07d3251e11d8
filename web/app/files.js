//! How a file travels as one binary message, and how it is read back without trust.
//! Layout: the 5 bytes "SBF1\n", the header's length (u16, big endian), the header (JSON: name, type), then the bytes.
//! A binary message without that start is somebody's own data and is offered as a plain file.

const MAGIC = new Uint8Array([0x53, 0x42, 0x46, 0x31, 0x0a])
/** A name of 120 characters in UTF-8, its escapes and a media type fit three times over. */
const HEADER_BYTES = 2048
const NAME_CHARS = 120

/**
 * @typedef {object} SharedFile
 * @property {string} name  Safe to offer as a file name.
 * @property {string} type  A media type, or the empty string.
 * @property {Blob} blob
 */

/** Pictures that every browser decodes without running anything; SVG is deliberately not among them. */
const PICTURES = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'])

/**
 * @param {string} type
 */
export const isPicture = type => PICTURES.has(type)

/**
 * Packs a file for sending.
 * @param {File} file
 * @returns {Blob}
 */
export function packFile(file) {
  const header = new TextEncoder().encode(JSON.stringify({ name: safeFileName(file.name), type: safeType(file.type) }))
  const length = new Uint8Array([header.length >> 8, header.length & 0xff])
  return new Blob([MAGIC, length, header, file])
}

/** The most that packing adds to a file. */
export const PACKING_BYTES = MAGIC.length + 2 + HEADER_BYTES

/**
 * Reads a binary message; never fails, since any bytes are somebody's data.
 * @param {ArrayBuffer | ArrayBufferView | Blob} data
 * @returns {Promise<SharedFile>}
 */
export async function unpackFile(data) {
  const blob = data instanceof Blob ? data : new Blob([/** @type {BlobPart} */ (data)])
  const head = new Uint8Array(await blob.slice(0, PACKING_BYTES).arrayBuffer())
  const plain = { name: 'message.bin', type: '', blob: blob.slice(0, blob.size, 'application/octet-stream') }
  if (!MAGIC.every((byte, i) => head[i] === byte) || head.length < MAGIC.length + 2) return plain
  const start = MAGIC.length + 2
  const length = (head[start - 2] ?? 0) * 256 + (head[start - 1] ?? 0)
  if (length > HEADER_BYTES || start + length > head.length) return plain
  const header = parseHeader(head.subarray(start, start + length))
  if (header === null) return plain
  // The blob's own type decides what a browser makes of it: only known pictures keep theirs.
  const own = isPicture(header.type) ? header.type : 'application/octet-stream'
  return { ...header, blob: blob.slice(start + length, blob.size, own) }
}

/**
 * @param {Uint8Array} bytes
 * @returns {{ name: string, type: string } | null}
 */
function parseHeader(bytes) {
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof value !== 'object' || value === null) return null
    return { name: safeFileName(value.name), type: safeType(value.type) }
  } catch {
    return null
  }
}

/**
 * Makes a name that is one path component on every system and hides nothing: no separators, controls, direction
 * overrides, leading dots or reserved device names; the extension survives shortening.
 * @param {unknown} name
 */
export function safeFileName(name) {
  if (typeof name !== 'string') return 'file'
  const base = name.slice(-4096).split(/[\\/]/).pop() ?? ''
  let safe = base.replace(/[\p{Cc}\p{Cf}\u2028\u2029<>:"|?*]/gu, '').replace(/\s+/g, ' ').replace(/^[. ]+|[. ]+$/g, '')
  if (/^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(safe)) safe = `_${safe}`
  const chars = [...safe]
  if (chars.length > NAME_CHARS) {
    const ending = /\.[A-Za-z0-9]{1,10}$/.exec(safe)?.[0] ?? ''
    safe = chars.slice(0, NAME_CHARS - ending.length).join('') + ending
  }
  return safe || 'file'
}

/**
 * @param {unknown} type
 */
function safeType(type) {
  return typeof type === 'string' && /^[a-z]+\/[a-z0-9.+-]{1,80}$/.test(type) ? type : ''
}

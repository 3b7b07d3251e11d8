//! A QR code encoder (ISO/IEC 18004): byte mode, versions 1 to 10, error correction level M, which recovers 15 %.
//! Enough for a link of 213 bytes; made here so that no link is ever sent anywhere to be drawn.

import { errorCorrection } from './reed-solomon.js'

/** Per version from 1: codewords in all, error correction codewords per block, blocks (table 9, level M). */
const VERSIONS = [[26, 10, 1], [44, 16, 1], [70, 26, 1], [100, 18, 2], [134, 24, 2], [172, 16, 4], [196, 18, 4], [242, 22, 4],
  [292, 22, 5], [346, 26, 5]]
/** Centres of the alignment patterns (annex E). */
const ALIGNMENT = [[], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50]]

/** The most bytes that fit: version 10 holds 216 codewords, of which mode, count and their padding take 3. */
export const QR_BYTES = 213

/**
 * Encodes a text.
 * @param {string} text
 * @returns {boolean[][]}  Rows of modules, true for dark, without the quiet zone of 4.
 * @throws {RangeError} when the text takes more than 213 bytes in UTF-8.
 */
export function qrModules(text) {
  const bytes = new TextEncoder().encode(text)
  const version = smallestVersion(bytes.length)
  const codewords = interleave(version, dataCodewords(version, bytes))
  const base = functionPatterns(version)
  /** @type {{ score: number, modules: boolean[][] } | null} */
  let best = null
  for (let mask = 0; mask < 8; mask++) {
    const modules = masked(base, codewords, mask, version)
    const score = penalty(modules)
    if (best === null || score < best.score) best = { score, modules }
  }
  return /** @type {{ modules: boolean[][] }} */ (best).modules
}

/** @param {number} version */
function shape(version) {
  const [total = 0, correction = 0, blocks = 0] = VERSIONS[version - 1] ?? []
  return { total, correction, blocks, data: total - correction * blocks, size: 17 + 4 * version }
}

/** @param {number} length */
function smallestVersion(length) {
  for (let version = 1; version <= VERSIONS.length; version++) {
    if (length * 8 + 4 + countBits(version) <= shape(version).data * 8) return version
  }
  throw new RangeError(`The text takes ${length} bytes; a QR code of this size holds ${QR_BYTES}.`)
}

/** @param {number} version */
const countBits = version => version < 10 ? 8 : 16

/**
 * Mode, count, the bytes, the terminator and the padding (clause 7.4).
 * @param {number} version
 * @param {Uint8Array} bytes
 */
function dataCodewords(version, bytes) {
  const { data } = shape(version)
  const out = new Uint8Array(data)
  let at = 0
  const put = (/** @type {number} */ value, /** @type {number} */ bits) => {
    for (let i = bits - 1; i >= 0; i--, at++) out[at >> 3] = (out[at >> 3] ?? 0) | ((value >> i) & 1) << (7 - (at & 7))
  }
  put(0b0100, 4)
  put(bytes.length, countBits(version))
  for (const byte of bytes) put(byte, 8)
  at = Math.min(data * 8, at + 4)
  for (let i = Math.ceil(at / 8), pad = 0xec; i < data; i++, pad ^= 0xec ^ 0x11) out[i] = pad
  return out
}

/**
 * Cuts the data into blocks, adds each block's error correction and interleaves (clause 7.6).
 * @param {number} version
 * @param {Uint8Array} data
 */
function interleave(version, data) {
  const { blocks, correction } = shape(version)
  const short = Math.floor(data.length / blocks)
  const shortBlocks = blocks - data.length % blocks
  const parts = []
  for (let i = 0, from = 0; i < blocks; i++) {
    const length = short + (i < shortBlocks ? 0 : 1)
    parts.push(data.subarray(from, from + length))
    from += length
  }
  const checks = parts.map(part => errorCorrection(part, correction))
  const out = []
  for (let i = 0; i <= short; i++) for (const part of parts) if (i < part.length) out.push(part[i] ?? 0)
  for (let i = 0; i < correction; i++) for (const check of checks) out.push(check[i] ?? 0)
  return out
}

/** @typedef {(boolean | null)[][]} Grid  Null where data goes. */

/**
 * Finders, separators, timing, alignment, version; the format's place is reserved with light modules.
 * @param {number} version
 * @returns {Grid}
 */
function functionPatterns(version) {
  const { size } = shape(version)
  /** @type {Grid} */
  const grid = Array.from({ length: size }, () => new Array(size).fill(null))
  const set = (/** @type {number} */ x, /** @type {number} */ y, /** @type {boolean} */ dark) => {
    const row = grid[y]
    if (row && x >= 0 && x < size) row[x] = dark
  }
  for (let i = 0; i < size; i++) {
    set(i, 6, i % 2 === 0)
    set(6, i, i % 2 === 0)
  }
  for (const [cx, cy] of /** @type {[number, number][]} */ ([[3, 3], [size - 4, 3], [3, size - 4]])) {
    for (let dy = -4; dy <= 4; dy++) for (let dx = -4; dx <= 4; dx++) {
      const ring = Math.max(Math.abs(dx), Math.abs(dy))
      set(cx + dx, cy + dy, ring !== 2 && ring !== 4)
    }
  }
  const centres = ALIGNMENT[version - 1] ?? []
  const last = centres.length - 1
  centres.forEach((cy, j) => centres.forEach((cx, i) => {
    if ((i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0)) return
    for (let dy = -2; dy <= 2; dy++) for (let dx = -2; dx <= 2; dx++) set(cx + dx, cy + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1)
  }))
  if (version >= 7) placeVersion(version, size, set)
  placeFormat(0, size, () => false, set)
  return grid
}

/** @typedef {(x: number, y: number, dark: boolean) => void} Set */

/**
 * 6 bits of version and 12 of BCH (annex D), twice.
 * @param {number} version
 * @param {number} size
 * @param {Set} set
 */
function placeVersion(version, size, set) {
  const bits = version << 12 | remainder(version << 12, 0x1f25, 12)
  for (let i = 0; i < 18; i++) {
    const dark = (bits >> i & 1) === 1
    const a = Math.floor(i / 3)
    const b = size - 11 + i % 3
    set(a, b, dark)
    set(b, a, dark)
  }
}

/**
 * Level (M is 00), mask and 10 bits of BCH (annex C), twice, and the one module that is always dark.
 * @param {number} mask
 * @param {number} size
 * @param {(bit: number, bits: number) => boolean} value  What to place; reserving places light modules.
 * @param {Set} set
 */
function placeFormat(mask, size, value, set) {
  const bits = (mask << 10 | remainder(mask << 10, 0x537, 10)) ^ 0x5412
  for (let i = 0; i < 15; i++) {
    const dark = value(i, bits)
    if (i < 6) set(8, i, dark)
    else if (i < 8) set(8, i + 1, dark)
    else if (i === 8) set(7, 8, dark)
    else set(14 - i, 8, dark)
    if (i < 8) set(size - 1 - i, 8, dark)
    else set(8, size - 15 + i, dark)
  }
  set(8, size - 8, true)
}

/**
 * The remainder of a binary polynomial.
 * @param {number} value
 * @param {number} divisor
 * @param {number} degree
 */
function remainder(value, divisor, degree) {
  for (let i = 31 - Math.clz32(value); i >= degree; i = 31 - Math.clz32(value)) value ^= divisor << (i - degree)
  return value
}

/** The eight mask conditions (table 10). @type {((x: number, y: number) => boolean)[]} */
const MASKS = [
  (x, y) => (x + y) % 2 === 0, (_x, y) => y % 2 === 0, (x) => x % 3 === 0, (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0, (x, y) => x * y % 2 + x * y % 3 === 0,
  (x, y) => (x * y % 2 + x * y % 3) % 2 === 0, (x, y) => ((x + y) % 2 + x * y % 3) % 2 === 0,
]

/**
 * Fills the codewords in, in columns of two from the right, under a mask (clause 7.7.3), with the format for it.
 * @param {Grid} base
 * @param {number[]} codewords
 * @param {number} mask
 * @param {number} version
 * @returns {boolean[][]}
 */
function masked(base, codewords, mask, version) {
  const { size } = shape(version)
  const grid = base.map(row => row.slice())
  const flips = MASKS[mask] ?? (() => false)
  let bit = 0
  for (let right = size - 1, upward = true; right > 0; right -= 2, upward = !upward) {
    // The vertical timing pattern takes a whole column.
    if (right === 6) right = 5
    for (let step = 0; step < size; step++) {
      const y = upward ? size - 1 - step : step
      for (const x of [right, right - 1]) {
        const row = grid[y]
        if (!row || row[x] !== null) continue
        const dark = ((codewords[bit >> 3] ?? 0) >> (7 - (bit & 7)) & 1) === 1
        bit++
        row[x] = dark !== flips(x, y)
      }
    }
  }
  placeFormat(mask, size, (i, bits) => (bits >> i & 1) === 1, (x, y, dark) => { (grid[y] ?? [])[x] = dark })
  return grid.map(row => row.map(Boolean))
}

/**
 * How hard a symbol is to read (clause 7.8.3): runs, blocks of four, patterns like a finder, imbalance.
 * @param {boolean[][]} modules
 */
function penalty(modules) {
  const size = modules.length
  const at = (/** @type {number} */ x, /** @type {number} */ y) => modules[y]?.[x] === true
  let score = 0
  let dark = 0
  for (let i = 0; i < size; i++) {
    score += linePenalty(size, j => at(j, i)) + linePenalty(size, j => at(i, j))
    for (let j = 0; j < size; j++) {
      if (at(j, i)) dark++
      const same = at(j, i) === at(j + 1, i) && at(j, i) === at(j, i + 1) && at(j, i) === at(j + 1, i + 1)
      if (same && i < size - 1 && j < size - 1) score += 3
    }
  }
  return score + 10 * Math.floor(Math.abs(dark * 20 - size * size * 10) / (size * size))
}

/**
 * @param {number} size
 * @param {(i: number) => boolean} at
 */
function linePenalty(size, at) {
  let score = 0
  let bits = ''
  for (let i = 0; i < size; i++) bits += at(i) ? '1' : '0'
  for (const run of bits.match(/(.)\1{4,}/g) ?? []) score += run.length - 2
  for (const pattern of ['10111010000', '00001011101']) {
    for (let from = bits.indexOf(pattern); from !== -1; from = bits.indexOf(pattern, from + 1)) score += 40
  }
  return score
}

//! Reed–Solomon error correction over GF(256), as QR codes use it (ISO/IEC 18004, clause 7.5.2 and annex A):
//! the field polynomial is x⁸ + x⁴ + x³ + x² + 1, the generator's roots are the powers of 2.

const EXP = new Uint8Array(510)
const LOG = new Uint8Array(256)
for (let i = 0, x = 1; i < 255; i++) {
  EXP[i] = x
  EXP[i + 255] = x
  LOG[x] = i
  x = x << 1 ^ (x & 0x80 ? 0x11d : 0)
}

/**
 * @param {number} a
 * @param {number} b
 */
const times = (a, b) => a === 0 || b === 0 ? 0 : EXP[(LOG[a] ?? 0) + (LOG[b] ?? 0)] ?? 0

/**
 * The generator polynomial of a degree, highest coefficient first, without the leading 1.
 * @param {number} degree
 */
function generator(degree) {
  let poly = [1]
  for (let i = 0; i < degree; i++) {
    const next = [...poly, 0]
    poly.forEach((coefficient, j) => { next[j + 1] = (next[j + 1] ?? 0) ^ times(coefficient, EXP[i] ?? 0) })
    poly = next
  }
  return poly.slice(1)
}

/**
 * The error correction codewords of one block.
 * @param {Uint8Array} data
 * @param {number} degree  How many.
 * @returns {Uint8Array}
 */
export function errorCorrection(data, degree) {
  const divisor = generator(degree)
  const rest = new Uint8Array(degree)
  for (const byte of data) {
    const factor = byte ^ (rest[0] ?? 0)
    rest.copyWithin(0, 1)
    rest[degree - 1] = 0
    divisor.forEach((coefficient, i) => { rest[i] = (rest[i] ?? 0) ^ times(coefficient, factor) })
  }
  return rest
}

//! Puts figures and connections into words. Pure: what to say, not where.

/**
 * @typedef {import('../switchboard.js').Path} Path
 */

/**
 * Bytes for people: 999 B, 1.4 kB, 16 MB (decimal, as file managers count).
 * @param {number} bytes
 */
export function bytes(bytes) {
  if (bytes < 1000) return `${bytes} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = -1
  do {
    value /= 1000
    unit++
  } while (value >= 999.5 && unit < units.length - 1)
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

/**
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`

/**
 * "Ann", "Ann and Bob", "Ann, Bob and 3 others".
 * @param {string[]} names
 * @param {number} [most]  How many to name before counting.
 */
export function listNames(names, most = 3) {
  const named = names.length > most ? [...names.slice(0, most - 1), count(names.length - most + 1, 'other')] : names
  if (named.length < 2) return named.join('')
  return `${named.slice(0, -1).join(', ')} and ${named[named.length - 1]}`
}

const TYPES = {
  host: 'an address on the local network',
  srflx: 'the public address, as STUN told it',
  prflx: 'a public address found on the way',
  relay: 'an address on a relay server',
}

/**
 * The name of a candidate type, with what it means.
 * @param {keyof typeof TYPES} type
 */
export const candidateWords = type => `${type} (${TYPES[type] ?? 'of a kind this page does not know'})`

/**
 * One short line on how a peer is reached: "Direct · UDP · 12 ms". Of a relay of one's own it says how that is reached.
 * @param {Path} path
 */
export function pathLine(path) {
  const kind = path.kind === 'direct' ? 'Direct' : 'Relayed'
  return [kind, (path.relayProtocol ?? path.protocol).toUpperCase(), roundTrip(path)].filter(Boolean).join(' · ')
}

/**
 * @param {Path} path
 */
export function roundTrip(path) {
  if (path.rttMs === null) return ''
  return path.rttMs < 1 ? 'under 1 ms' : `${Math.round(path.rttMs)} ms`
}

/**
 * How two people are connected, for the greeting when a channel opens: "directly, 12 ms apart".
 * @param {Path | null} path
 */
export function pathWords(path) {
  if (path === null) return ''
  const time = roundTrip(path)
  const apart = time === '' ? '' : `, ${time} apart`
  return (path.kind === 'direct' ? ' directly' : ' through a relay that cannot read along') + apart
}

/**
 * @param {Date} when
 */
export const clock = when => when.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })

/**
 * @param {Date} when
 */
export function exactClock(when) {
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0')
  return `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}.${String(when.getMilliseconds()).padStart(3, '0')}`
}

//! Takes network addresses and secrets out of what the timeline exports, and keeps what a reader needs: that two
//! addresses were the same or not, and whether one was private.

const IPV4 = /(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])/g
const IPV6 = /(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%\w+)?(?![\w:])/gi
/** All eight groups, or some left out: what tells an address from a clock time. */
const isIpv6 = (/** @type {string} */ text) => text.split(':').length === 8 || (text.includes('::') && text !== '::')
const MDNS = /\b[0-9a-f-]{8,64}\.local\b/gi
const SDP_SECRET = /(a=(?:ice-ufrag|ice-pwd|fingerprint|crypto):?)[^\r\n]*/g
const UFRAG = /(\bufrag )\S+/g
/** Members whose value is a secret or an address in itself. */
const SECRET = /^(credential|username|password|pwd|resume|token|usernameFragment|ufrag)$/i

/**
 * Makes a redactor. One lasts for one export: equal addresses get equal stand-ins within it.
 * @param {string} [room]  The room's id, which is the key to it.
 * @returns {(value: unknown) => unknown}
 */
export function redactor(room = '') {
  /** @type {Map<string, string>} */
  const known = new Map()
  const standIn = (/** @type {string} */ address) => {
    const key = address.toLowerCase()
    const made = known.get(key) ?? `[${addressClass(key)} address ${known.size + 1}]`
    known.set(key, made)
    return made
  }
  const hideRoom = (/** @type {string} */ value) => room === '' ? value : value.replaceAll(room, '[this room]')
  const text = (/** @type {string} */ value) => hideRoom(value).replace(SDP_SECRET, '$1[redacted]').replace(UFRAG, '$1[redacted]')
    .replace(MDNS, standIn).replace(IPV4, standIn).replace(IPV6, whole => isIpv6(whole) ? standIn(whole) : whole)
  /** @type {(value: unknown, depth: number) => unknown} */
  const walk = (value, depth) => {
    if (typeof value === 'string') return text(value)
    if (typeof value !== 'object' || value === null) return value
    // Deeper than any step goes; a cycle would otherwise never end.
    if (depth > 8) return '[too deep]'
    if (Array.isArray(value)) return value.map(item => walk(item, depth + 1))
    return Object.fromEntries(Object.entries(value).map(([key, item]) =>
      [key, SECRET.test(key) && item !== null ? '[redacted]' : walk(item, depth + 1)]))
  }
  return value => walk(value, 0)
}

/**
 * @param {string} address  In lower case.
 */
function addressClass(address) {
  if (address.endsWith('.local')) return 'mDNS'
  if (address.includes(':')) {
    if (address === '::1') return 'loopback'
    return /^f[cde]/.test(address) ? 'private IPv6' : 'public IPv6'
  }
  if (address.startsWith('127.')) return 'loopback'
  const shared = /^(10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/
  return shared.test(address) ? 'private IPv4' : 'public IPv4'
}

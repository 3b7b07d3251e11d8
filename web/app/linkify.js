//! Finds the web addresses in a text. Only http and https become links; everything stays text.

/** Bounds the work on one message: what lies beyond stays plain. */
const LINKS = 50
const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]{1,2000}/giu

/**
 * Cuts a text into plain pieces and links.
 * @param {string} text
 * @returns {{ text: string, href: string | null }[]}
 */
export function linkPieces(text) {
  /** @type {{ text: string, href: string | null }[]} */
  const pieces = []
  let from = 0
  let found = 0
  for (const match of text.matchAll(ADDRESS)) {
    if (found === LINKS) break
    const address = trimEnd(match[0])
    const href = webAddress(address)
    if (href === null) continue
    found++
    if (match.index > from) pieces.push({ text: text.slice(from, match.index), href: null })
    pieces.push({ text: address, href })
    from = match.index + address.length
  }
  if (from < text.length) pieces.push({ text: text.slice(from), href: null })
  return pieces
}

/**
 * Leaves the sentence its full stop, and the bracket that was opened before the address.
 * @param {string} address
 */
function trimEnd(address) {
  const open = { ')': count(address, '('), ']': count(address, '[') }
  const closed = { ')': count(address, ')'), ']': count(address, ']') }
  for (let end = address.length; ; end--) {
    const last = address[end - 1] ?? ''
    if (last === ')' || last === ']') {
      if (closed[last]-- <= open[last]) return address.slice(0, end)
    } else if (!/[.,;:!?…]/u.test(last)) return address.slice(0, end)
  }
}

/**
 * @param {string} text
 * @param {string} char
 */
const count = (text, char) => text.split(char).length - 1

/**
 * @param {string} address
 * @returns {string | null}
 */
function webAddress(address) {
  try {
    const url = new URL(address)
    const web = url.protocol === 'http:' || url.protocol === 'https:'
    // user:password@host is how a link pretends to lead elsewhere.
    return web && url.hostname !== '' && url.username === '' && url.password === '' ? url.href : null
  } catch {
    return null
  }
}

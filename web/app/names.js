//! Names: what one is called before saying so, and what a name may be.
//! A name is a label that its bearer chose, never an identity.

const FIRST = ['Amber', 'Brisk', 'Calm', 'Copper', 'Curious', 'Early', 'Gentle', 'Hazel', 'Ivory', 'Jolly', 'Keen', 'Late',
  'Lucky', 'Mellow', 'Misty', 'Nimble', 'Olive', 'Patient', 'Plucky', 'Quiet', 'Rapid', 'Silver', 'Steady', 'Sunny',
  'Tidy', 'Velvet', 'Warm', 'Witty']
const SECOND = ['Badger', 'Beaver', 'Crane', 'Curlew', 'Dormouse', 'Falcon', 'Finch', 'Fox', 'Gecko', 'Hare', 'Hedgehog',
  'Heron', 'Ibis', 'Jackdaw', 'Kestrel', 'Lark', 'Lynx', 'Magpie', 'Marten', 'Newt', 'Otter', 'Owl', 'Pika', 'Plover',
  'Robin', 'Seal', 'Starling', 'Swift', 'Tern', 'Vole', 'Wren', 'Yak']

/** The protocol's limits: 64 characters, 256 bytes. */
export const NAME_CHARS = 64
const NAME_BYTES = 256

/**
 * A friendly name for somebody who has not chosen one.
 * @param {(below: number) => number} [random]  Gives an integer from 0 up to `below`, exclusive.
 */
export function inventName(random = below => Math.floor(Math.random() * below)) {
  return `${FIRST[random(FIRST.length)]} ${SECOND[random(SECOND.length)]}`
}

/**
 * Makes what somebody typed, or sent, a name within the protocol's limits; the empty string if nothing is left.
 * @param {unknown} text
 */
export function tidyName(text) {
  if (typeof text !== 'string') return ''
  // Line and paragraph separators and the invisible "tag" and bidi controls would let a name disguise itself.
  const visible = text.slice(0, 1024).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').replace(/[\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu, '')
  let chars = [...visible.replace(/\s+/g, ' ').trim()].slice(0, NAME_CHARS)
  while (new TextEncoder().encode(chars.join('')).length > NAME_BYTES) chars = chars.slice(0, -1)
  return chars.join('').trim()
}

/**
 * What to call a peer on the page: its name, or a name made from its id.
 * @param {{ id: string, name: string }} peer
 */
export function callName(peer) {
  return tidyName(peer.name) || `Guest ${peer.id.slice(0, 4)}`
}

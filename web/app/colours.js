//! Which cord belongs to whom. Ten colours (web/app/tokens.css), each readable as text on every ground of its scheme;
//! the colour never carries meaning by itself: a name or a word always stands beside it.

/** As many as tokens.css has `.hue-N` classes. */
export const HUES = 10

/** @type {Map<string, number>} */
const chosen = new Map()
/** Ids of departed peers are kept so that a returning one keeps its colour; beyond this the oldest is forgotten. */
const REMEMBERED = 512

/**
 * FNV-1a, 32 bits: spreads ids that differ in one character.
 * @param {string} id
 */
function hash(id) {
  let h = 0x811c9dc5
  for (let i = 0; i < id.length; i++) h = Math.imul(h ^ id.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/**
 * The colour of a peer, the same for as long as the page lives. It follows from the id, unless somebody in the room
 * already has that one and another is free.
 * @param {string} id
 * @param {Iterable<string>} others  The ids that are in the room.
 * @returns {number}
 */
export function hueOf(id, others = []) {
  const known = chosen.get(id)
  if (known !== undefined) return known
  const taken = new Set()
  for (const other of others) if (chosen.has(other)) taken.add(chosen.get(other))
  let hue = hash(id) % HUES
  for (let i = 0; i < HUES && taken.has(hue); i++) hue = (hue + 3) % HUES
  if (chosen.size >= REMEMBERED) chosen.delete(/** @type {string} */ (chosen.keys().next().value))
  chosen.set(id, hue)
  return hue
}

//! What the page remembers between visits: the last room and one's name.
//! Storage may be refused (private windows, blocked cookies); the page then works without a memory.

/** The key that earlier pages of this kind used, so that it stays what a person expects to find. */
export const ROOM_KEY = 'roomId'
export const NAME_KEY = 'name'
/** `yes` where one's address is to stay hidden. */
export const HIDE_KEY = 'hideAddress'

/**
 * @param {string} key
 * @returns {string | null}
 */
export function recall(key) {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

/**
 * Remembers a value; null forgets it.
 * @param {string} key
 * @param {string | null} value
 */
export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(key)
    else localStorage.setItem(key, value)
  } catch {
    // Without storage the next visit starts afresh, which is all that is lost.
  }
}

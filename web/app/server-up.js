//! Why the WebSocket to the server does not open: a browser tells a page nothing, but a plain request over the same way does.

/** @typedef {'up' | 'foreign' | 'down'} Standing  `up`: it answers this page; `foreign`: it takes the page for another site's. */

/** Somebody waits for the word. */
const ANSWER_MS = 5000

/**
 * Asks the server by a plain request. Never rejects.
 * @param {string} origin  The page's own.
 * @returns {Promise<Standing>}
 */
export async function standing(origin) {
  try {
    // With POST a browser names the page's origin, as with a WebSocket. `/ice` compares it, and then answers to GET alone: 405.
    const { status } = await fetch(new URL('/ice', origin), { method: 'POST', signal: AbortSignal.timeout(ANSWER_MS) })
    if (status === 403) return 'foreign'
    // A proxy that cannot reach the server says 502 to 504.
    return status < 500 ? 'up' : 'down'
  } catch {
    return 'down'
  }
}

/**
 * What that means, and what helps; null where the server does not answer at all.
 * @param {Standing} standing
 * @returns {string | null}
 */
export function standingWords(standing) {
  switch (standing) {
    case 'up': return 'The server is up and answers this page, but its WebSocket does not get through: a proxy may pass none on, an extension may forbid it, or too many are open from your network.'
    case 'foreign': return 'The server is up, but takes this page for another site’s and refuses its WebSocket: the proxy in front has to pass the Host header on unchanged, or the server has to know its address (public_url).'
    case 'down': return null
  }
}

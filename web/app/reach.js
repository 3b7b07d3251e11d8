//! By which address others open this page. `localhost` leads every device to itself, so a page that was opened as that asks
//! the server, which knows its addresses.

/**
 * @typedef {object} Reach
 * @property {string} href  The page, as the link to a room begins.
 * @property {'anybody' | 'network' | 'here'} scope  Who can open it: whoever can open this page, who is in the network of this
 *   computer, or only this computer.
 */

/** The server is on this computer; what takes longer is no answer. */
const ANSWER_MS = 3000

/** Whether a host, as `URL` writes it, means the computer it is used on. @param {string} host */
export const isLoopback = host => /^(?:(?:.+\.)?localhost|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\])$/.test(host)

/**
 * Finds the address for others. Never rejects.
 * @param {string} here  The page's own address.
 * @returns {Promise<Reach>}
 */
export async function findReach(here) {
  const { hostname, pathname } = new URL(here)
  if (!isLoopback(hostname)) return { href: here, scope: 'anybody' }
  try {
    const response = await fetch('/app/reach.json', { signal: AbortSignal.timeout(ANSWER_MS) })
    const url = new URL(pathname, (await response.json()).origin)
    if (/^https?:$/.test(url.protocol) && !isLoopback(url.hostname)) return { href: url.href, scope: isAddress(url.hostname) ? 'network' : 'anybody' }
  } catch {
    // No answer, or none that is an address: nobody knows one.
  }
  return { href: here, scope: 'here' }
}

/** @param {string} host */
const isAddress = host => /^(?:[\d.]+|\[.*\])$/.test(host)

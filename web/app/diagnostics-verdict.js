//! From what was found to words: what each check says, and one sentence for all of them. Pure.

/**
 * @typedef {import('./diagnostics-ice.js').Gathered} Gathered
 * @typedef {import('./diagnostics-ice.js').Echoed} Echoed
 * @typedef {import('./diagnostics-ice.js').Found} Found
 */

/** @typedef {'waiting' | 'running' | 'ok' | 'warn' | 'bad' | 'none'} Tone  `none`: there was nothing to test. */
/** @typedef {{ tone: Tone, text: string }} Outcome */
/** @typedef {'UDP' | 'TCP' | 'TLS'} Way  How a relay is reached. */

/**
 * What the sentence is made from.
 * @typedef {object} Findings
 * @property {'works' | 'missing' | 'blocked'} webrtc
 * @property {string | null} socketFault  Why the server cannot be reached; null where it can.
 * @property {import('./server-up.js').Standing} standing  What a plain request found, where the socket has a fault.
 * @property {(boolean | null)[]} stun  For each STUN server whether it answers; null where that cannot be told.
 * @property {{ way: Way, works: boolean, refused: boolean }[]} relays
 * @property {'steady' | 'varies' | 'unknown'} mapping
 */

/** Past this without a candidate a STUN server has not answered: the browser was still asking. */
const SILENT_MS = 3000

/** How a URL of a relay is reached. @param {string} url @returns {Way} */
export function wayOf(url) {
  if (/^turns:/i.test(url)) return 'TLS'
  return /[?&]transport=tcp\b/i.test(url) ? 'TCP' : 'UDP'
}

/** @param {Gathered} gathered @param {boolean} tellsErrors  See `diagnostics-ice.js`. @returns {boolean | null} */
export function stunAnswers({ candidates, errors, finished, ms }, tellsErrors) {
  if (candidates.some(({ type }) => type === 'srflx')) return true
  if (errors.length > 0 || !finished || ms > SILENT_MS) return false
  // Browsers leave out a public address that is the computer's own.
  return tellsErrors ? true : null
}

/** @param {Gathered} gathered @param {boolean | null} answers @returns {Outcome} */
export function stunOutcome({ candidates, errors }, answers) {
  const seen = candidates.find(({ type }) => type === 'srflx')
  if (seen) return { tone: 'ok', text: `It answers after ${milliseconds(seen.ms)} and sees you as ${place(seen)}.` }
  if (answers) return { tone: 'ok', text: 'It answers and sees you at your computer’s own address: no router translates it on the way there.' }
  if (answers === null) return { tone: 'warn', text: 'It named no other address: either no router is in between, or it did not answer. This browser does not tell which.' }
  return { tone: 'bad', text: `No answer${errors.length > 0 ? `: ${errors.join('; ')}` : ''}. UDP to it is blocked, or it is not there.` }
}

/** @param {Echoed} echoed @returns {Outcome} */
export function relayOutcome({ candidates, errors, refused, connectMs, rttMs }) {
  if (rttMs !== null) return { tone: 'ok', text: `A message went to it and back in ${milliseconds(rttMs)}; the connection took ${milliseconds(connectMs ?? 0)}. Both ends were relayed by it, so this does not show whether its relay ports are open to others.` }
  const why = errors.length > 0 ? ` The browser says: ${errors.join('; ')}.` : ''
  if (candidates.length > 0) return { tone: 'bad', text: `It gave an address, but nothing came back through it.${why}` }
  if (refused) return { tone: 'bad', text: `It refused the credentials that the server gave out.${why}` }
  return { tone: 'bad', text: `It cannot be reached this way.${why}` }
}

/** @param {Gathered} gathered @returns {Outcome & { blocked: boolean }} */
export function addressOutcome({ candidates, errors }) {
  const hosts = candidates.filter(({ type }) => type === 'host')
  if (hosts.length === 0) {
    return { tone: 'bad', blocked: true, text: `The browser found no address to offer: a setting, an extension or the administrator forbids it.${errors.map(error => ` ${error}.`).join('')}` }
  }
  if (!hosts.some(({ protocol }) => protocol === 'udp')) return { tone: 'warn', blocked: false, text: 'The browser offers no UDP, by which connections are best: a setting or an extension forbids it.' }
  const hidden = hosts.some(({ address }) => address.endsWith('.local'))
  return { tone: 'ok', blocked: false, text: hidden
    ? 'The browser hides the addresses of your own network behind random names (mDNS), as it should on a page without microphone.'
    : 'The browser tells the people you connect to your addresses in your own network.' }
}

/**
 * How the router in between maps one socket towards two servers (RFC 4787 §4.1). The browser names a port that both saw once,
 * just as one that a single server saw: only if each of them, asked alone, saw the same address does one port mean both.
 * @param {Found[]} candidates  Of a search that asked both.
 * @param {Found[][]} alone  Of the searches that asked one of them each.
 * @returns {Findings['mapping']}
 */
export function mappingOf(candidates, alone) {
  /** @type {Map<string, Set<string>>} */
  const seen = new Map()
  for (const { address, port, base } of candidates.filter(isReflexive)) {
    const ports = seen.get(`${base} ${address}`) ?? new Set()
    seen.set(`${base} ${address}`, ports.add(String(port)))
  }
  if ([...seen.values()].some(ports => ports.size > 1)) return 'varies'
  const [first = [], ...others] = alone.map(found => found.filter(isReflexive).map(({ address }) => address))
  const isShared = (/** @type {string} */ address) => others.length > 0 && others.every(addresses => addresses.includes(address))
  return candidates.some(found => isReflexive(found) && first.includes(found.address) && isShared(found.address)) ? 'steady' : 'unknown'
}

/** @param {Found} found */
const isReflexive = ({ type }) => type === 'srflx'

/** @type {Record<Findings['mapping'], Outcome>} */
export const MAPPINGS = {
  steady: { tone: 'ok', text: 'The same port towards two servers: others can reach you directly.' },
  varies: { tone: 'warn', text: 'Another port towards each server (a “symmetric” router): direct connections work only with open networks, else a relay is needed.' },
  unknown: { tone: 'none', text: 'Cannot be told: that takes two STUN servers at different addresses, both of which see you behind the same router.' },
}

/** The one sentence. @param {Findings} findings @returns {Outcome} */
export function verdict(findings) {
  const { webrtc, socketFault, relays } = findings
  if (webrtc === 'missing') return { tone: 'bad', text: 'WebRTC is switched off or missing in this browser, so it cannot connect to anybody; allow it in the settings, or in the extension that blocks it.' }
  if (webrtc === 'blocked') return { tone: 'bad', text: 'This browser lets no page use its network addresses, so it cannot connect to anybody; look for a setting, or an extension, about WebRTC.' }
  if (socketFault !== null && findings.standing === 'foreign') return { tone: 'bad', text: 'The server is up but takes this page for another site’s, so nobody can be introduced to you; the proxy in front has to pass the Host header on, or the server has to know its public_url.' }
  if (socketFault !== null && findings.standing === 'up') return { tone: 'bad', text: 'The server is up but its WebSocket does not get through, so nobody can be introduced to you; a proxy, a firewall or an extension may let no WebSocket pass.' }
  if (socketFault !== null) return { tone: 'bad', text: 'The server cannot be reached over a WebSocket, so nobody can be introduced to you; a proxy, a firewall or an extension may be in the way.' }
  const working = relays.filter(({ works }) => works).map(({ way }) => way)
  if (working.length > 0) return withRelay(findings, working)
  return relays.length > 0 ? relayFails(findings) : withoutRelay(findings)
}

/** @param {Findings} findings @param {Way[]} working @returns {Outcome} */
function withRelay({ relays, stun }, working) {
  const failing = relays.filter(({ works }) => !works).map(({ way }) => way)
  if (working.includes('UDP')) {
    return failing.length === 0
      ? { tone: 'ok', text: 'Everything works as far as it can be seen from here: you can connect directly where the networks allow it, and through the relay where they do not, if its ports are open to others.' }
      : { tone: 'ok', text: `You can connect directly, or through the relay if its ports are open to others; only ${failing.join(' and ')} to the relay ${failing.length === 1 ? 'does' : 'do'} not work from here.` }
  }
  const ways = [...new Set(working)].join(' and ')
  if (failing.includes('UDP') || stun.includes(false)) return { tone: 'warn', text: `Your network seems to block UDP, but the relay can be reached by ${ways}: you can connect through it, with some delay, if its ports are open to others.` }
  return { tone: 'ok', text: `You can connect directly, or through the relay by ${ways} if its ports are open to others.` }
}

/** @param {Findings} findings @returns {Outcome} */
function relayFails({ stun, relays }) {
  if (relays.some(({ refused }) => refused)) return { tone: 'bad', text: 'The relay refuses the credentials that this server gives out, so whoever needs it stays out of reach; please tell whoever runs the server.' }
  return stun.includes(true)
    ? { tone: 'warn', text: 'Direct connections should work with most people, but the relay cannot be reached from here, so people behind strict networks stay out of reach.' }
    : { tone: 'bad', text: 'Only people in your own network can be reached: neither STUN nor the relay answers, so a firewall probably blocks them.' }
}

/** @param {Findings} findings @returns {Outcome} */
function withoutRelay({ stun, mapping }) {
  if (stun.length === 0) return { tone: 'warn', text: 'This server names neither STUN nor a relay, so only people in your own network, or with public addresses, can be reached.' }
  if (!stun.includes(true) && stun.includes(false)) return { tone: 'bad', text: 'Only people in your own network can be reached: STUN does not answer, and this server has no relay.' }
  if (mapping === 'varies') return { tone: 'warn', text: 'Your router gives each connection another port and this server has no relay, so only people with open networks can be reached.' }
  return { tone: 'warn', text: 'Direct connections should work with most people; this server has no relay, so those behind strict networks stay out of reach.' }
}

/** @param {number} ms */
export const milliseconds = ms => ms < 1 ? 'under 1 ms' : ms < 9950 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`

/** @param {{ address: string, port: number }} found */
export const place = ({ address, port }) => address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

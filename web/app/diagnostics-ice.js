//! What ICE finds: candidates by one server alone, and a real echo through a relay. Each step is bounded in time, closes
//! what it opened and never throws: what went wrong is part of what was found.

/**
 * @typedef {object} Found
 * @property {string} type  `host`, `srflx`, `prflx` or `relay`.
 * @property {string} protocol
 * @property {string} address  An IP address, or a name ending in `.local` that stands for one.
 * @property {number} port
 * @property {string} base  What the candidate was made from, where the browser tells.
 * @property {number} ms  Since the search began.
 */

/**
 * @typedef {object} Gathered
 * @property {Found[]} candidates
 * @property {string[]} errors  In the browser's words, each once.
 * @property {boolean} refused  Whether a server refused the credentials.
 * @property {boolean} finished  False where the time was over first.
 * @property {number} ms
 */

/** @typedef {Gathered & { connectMs: number | null, rttMs: number | null }} Echoed */

/** An answer to one search may be followed by others: of another interface, another family. */
const MORE_MS = 500
/** Chromium gives a silent STUN server up after 9.5 s. */
const GATHER_MS = 12_000
/** TLS through a slow proxy takes a few seconds; nobody waits longer than this for a connection. */
const ECHO_MS = 20_000
const ECHOES = 5
/** RFC 8489 §14.8, RFC 8656 §19: wrong credentials, wrong user. */
const REFUSALS = new Set([401, 403, 441])

/** Whether browsers of this kind say that a server did not answer. */
export const tellsErrors = () => 'onicecandidateerror' in RTCPeerConnection.prototype

/**
 * Gathers candidates.
 * @param {RTCIceServer[]} iceServers
 * @param {(found: Found) => void} told  Each candidate as it comes.
 * @param {string} [wanted]  The type to look for; soon after one is found it is enough.
 * @returns {Promise<Gathered>}
 */
export async function gather(iceServers, told, wanted) {
  const begun = performance.now()
  let enough = () => {}
  const satisfied = new Promise(resolve => { enough = () => void after(MORE_MS).then(resolve) })
  const search = new Search({ iceServers }, found => {
    told(found)
    if (found.type === wanted) enough()
  })
  try {
    search.connection.createDataChannel('diagnostics')
    await search.connection.setLocalDescription()
    await Promise.race([search.over, satisfied, after(GATHER_MS)])
  } catch (error) {
    search.note(String(error))
  }
  search.connection.close()
  return search.result(begun)
}

/**
 * Connects two ends in this page through one relay, and sends messages round.
 * @param {RTCIceServer} server
 * @param {(found: Found) => void} told
 * @returns {Promise<Echoed>}
 */
export async function echo(server, told) {
  const begun = performance.now()
  /** @type {RTCConfiguration} */
  const config = { iceServers: [server], iceTransportPolicy: 'relay' }
  const near = new Search(config, told)
  const far = new Search(config, () => {})
  let connectMs = null
  let rttMs = null
  const attempt = async () => {
    const channel = near.connection.createDataChannel('echo')
    far.connection.addEventListener('datachannel', ({ channel }) => { channel.onmessage = ({ data }) => channel.send(data) })
    const opened = new Promise(resolve => { channel.onopen = resolve })
    await introduce(near, far)
    await opened
    connectMs = performance.now() - begun
    rttMs = await roundTrip(channel)
  }
  // Where both ends have looked and found no relayed address there is nothing to wait for.
  const hopeless = Promise.all([near.over, far.over]).then(() => near.found || far.found ? new Promise(() => {}) : null)
  await Promise.race([attempt().catch(error => near.note(String(error))), hopeless, after(ECHO_MS)])
  near.connection.close()
  far.connection.close()
  return { ...near.result(begun), connectMs, rttMs }
}

/** The median of some echoes, in milliseconds. @param {RTCDataChannel} channel */
async function roundTrip(channel) {
  const times = []
  for (let n = 0; n < ECHOES; n++) {
    const sent = performance.now()
    const back = new Promise(resolve => { channel.onmessage = resolve })
    channel.send(String(n))
    await back
    times.push(performance.now() - sent)
  }
  return times.sort((a, b) => a - b)[ECHOES >> 1] ?? null
}

/** Offer, answer and candidates, as a server would pass them. @param {Search} near @param {Search} far */
async function introduce(near, far) {
  for (const [one, other] of [[near, far], [far, near]]) {
    one?.connection.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate && other) void other.described.then(() => other.connection.addIceCandidate(candidate)).catch(() => {})
    })
  }
  await near.connection.setLocalDescription()
  await far.connection.setRemoteDescription(/** @type {RTCSessionDescription} */ (near.connection.localDescription))
  far.knows()
  await far.connection.setLocalDescription()
  await near.connection.setRemoteDescription(/** @type {RTCSessionDescription} */ (far.connection.localDescription))
  near.knows()
}

/** One connection's search for candidates, written down. */
class Search {
  connection
  /** @type {Promise<void>} Everything there is was found. */
  over
  knows = () => {}
  /** @type {Promise<void>} The other end's description was taken. */
  described = new Promise(resolve => { this.knows = resolve })
  /** @type {Found[]} */
  #candidates = []
  /** @type {Set<string>} */
  #errors = new Set()
  #refused = false

  /** @param {RTCConfiguration} config @param {(found: Found) => void} told */
  constructor(config, told) {
    const begun = performance.now()
    this.connection = new RTCPeerConnection(config)
    this.over = new Promise(resolve => {
      this.connection.addEventListener('icegatheringstatechange', () => { if (this.connection.iceGatheringState === 'complete') resolve() })
    })
    this.connection.addEventListener('icecandidate', ({ candidate }) => {
      const found = candidate && describe(candidate, performance.now() - begun)
      if (!found) return
      this.#candidates.push(found)
      told(found)
    })
    this.connection.addEventListener('icecandidateerror', ({ errorCode, errorText }) => {
      this.#refused ||= REFUSALS.has(errorCode)
      this.note(`${errorText || 'no answer'} (${errorCode})`)
    })
  }

  get found() {
    return this.#candidates.length > 0
  }

  /** @param {string} error */
  note(error) {
    if (this.#errors.size < 8) this.#errors.add(error)
  }

  /** @param {number} begun @returns {Gathered} */
  result(begun) {
    return {
      candidates: this.#candidates, errors: [...this.#errors], refused: this.#refused,
      finished: this.connection.iceGatheringState === 'complete', ms: performance.now() - begun,
    }
  }
}

/** @param {RTCIceCandidate} candidate @param {number} ms @returns {Found | null} */
function describe({ candidate, type, protocol, address, port, relatedAddress, relatedPort }, ms) {
  if (!candidate || !type) return null
  // Chromium leaves the address out where it is a name.
  const [, , , , named = '', at = '0'] = candidate.split(' ')
  return { type, protocol: protocol ?? '', address: address ?? named, port: port ?? Number(at), base: relatedAddress ? `${relatedAddress}:${relatedPort}` : '', ms }
}

/** @param {number} ms */
const after = ms => new Promise(resolve => { setTimeout(resolve, ms) })

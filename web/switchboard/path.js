//! How two peers reach each other, read from the connection's statistics.

/** @typedef {import('./types.js').Path} Path */

/**
 * The selected candidate pair.
 * @param {RTCPeerConnection} connection
 * @returns {Promise<Path | null>}  Null while there is none.
 */
export async function readPath(connection) {
  if (connection.connectionState === 'closed') return null
  /** @type {Map<string, any>} */
  const reports = new Map()
  const stats = await connection.getStats()
  stats.forEach(report => reports.set(report.id, report))
  const pair = selectedPair(reports)
  const local = reports.get(pair?.localCandidateId)
  const remote = reports.get(pair?.remoteCandidateId)
  if (!local || !remote) return null
  const [localAddress, remoteAddress] = [local, remote].map(address)
  return {
    kind: local.candidateType === 'relay' || remote.candidateType === 'relay' ? 'relayed' : 'direct',
    local: local.candidateType,
    remote: remote.candidateType,
    protocol: local.protocol,
    rttMs: typeof pair.currentRoundTripTime === 'number' ? pair.currentRoundTripTime * 1000 : null,
    bytesSent: pair.bytesSent ?? 0,
    bytesReceived: pair.bytesReceived ?? 0,
    ...local.relayProtocol && { relayProtocol: local.relayProtocol },
    ...localAddress && { localAddress },
    ...remoteAddress && { remoteAddress },
  }
}

/**
 * Chromium names the pair at the transport; Firefox marks the pair itself.
 * @param {Map<string, any>} reports
 */
function selectedPair(reports) {
  const all = [...reports.values()]
  const transport = all.find(report => report.type === 'transport' && report.selectedCandidatePairId)
  if (transport) return reports.get(transport.selectedCandidatePairId)
  const pairs = all.filter(report => report.type === 'candidate-pair' && report.state === 'succeeded')
  return pairs.find(pair => pair.selected) ?? pairs.find(pair => pair.nominated)
}

/** @param {{ address?: string, ip?: string, port?: number }} candidate */
function address({ address, ip, port }) {
  const host = address || ip
  if (!host) return undefined
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

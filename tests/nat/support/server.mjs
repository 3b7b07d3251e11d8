// The program under test on the lab's server: pages and TURN over TLS both on port 443, each at an address of its own, for
// those who may reach nothing else.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { SERVER } from './lab.mjs'

export const BINARY = path.resolve(process.env.SERVER_UNDER_TEST ?? path.join(import.meta.dirname, '../../../target/debug/switchboard'))
const [TURN, PAGES] = SERVER

/**
 * Starts it, and resolves with the pages' origin once it listens.
 * @param {import('./namespaces.mjs').Host} host
 * @param {string[]} [more]  Arguments that go before the lab's own.
 */
export async function startServer(host, more = []) {
  const [certificate, key] = certify(host.folder())
  const child = host.spawn(BINARY, [
    'serve', '--listen', `${PAGES}:443`, '--public-url', `http://${TURN}`,
    '--turn-listen', `${TURN}:3478`, '--turn-tls-listen', `${TURN}:443`, '--turn-certificate', certificate, '--turn-private-key', key,
    '--set', `turn.relay_addresses=${TURN}`, ...more,
  ], { stdio: ['ignore', 'pipe', 'pipe'] })
  const said = []
  child.stderr.on('data', data => said.push(data))
  const ended = once(child, 'exit').then(([code]) => { throw new Error(`${BINARY} ended with ${code}:\n${said.join('')}`) })
  await Promise.race([ended, told(child.stdout, /Listening on/)])
  ended.catch(() => {})
  return `http://${PAGES}:443`
}

/** Waits for a line. */
const told = (stream, wanted) => new Promise(resolve => {
  createInterface(stream).on('line', line => { if (wanted.test(line)) resolve() })
})

/** A certificate that nobody vouches for, with its key. */
function certify(folder) {
  const [certificate, key] = ['certificate.pem', 'key.pem'].map(name => path.join(folder, name))
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=NAT lab',
    '-addext', `subjectAltName=IP:${TURN}`, '-out', certificate, '-keyout', key,
  ], { stdio: ['ignore', 'ignore', 'inherit'] })
  return [certificate, key]
}

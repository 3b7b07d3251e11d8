// coturn's own tools against our STUN and TURN server: every transport, both ways of sending, both families.
// TURN_REFERENCE=1 runs the same against coturn's server.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from '../browser/support/ports.mjs'
import { startServer } from '../browser/support/server.mjs'

const run = promisify(execFile)
const REFERENCE = process.env.TURN_REFERENCE === '1'
const SECRET = 'a-secret-of-the-tests-long-enough-to-be-one'
/** The flags of `turnutils_uclient` for each. */
const TRANSPORTS = { UDP: [], TCP: ['-t'], TLS: ['-t', '-S'] }
/** Each run of a tool takes a second or two; one that takes longer waits for something that will not come. */
const LIMIT_MS = 60_000

let folder, server, peer
before(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'coturn-'))
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,IP:::1', '-keyout', file('key.pem'), '-out', file('certificate.pem')])
  server = await (REFERENCE ? reference() : ours())
  peer = await echo()
})
after(async () => {
  await peer?.stop()
  await server?.stop()
  await fs.rm(folder, { recursive: true, force: true })
})

const file = name => path.join(folder, name)

async function ours() {
  await fs.writeFile(file('switchboard.toml'), `
    [turn]
    tls_listen = ["127.0.0.1:0", "[::1]:0"]
    certificate = "${file('certificate.pem')}"
    private_key = "${file('key.pem')}"
    secret = "${SECRET}"
    users = [{ name = "static", password = "a password" }]
    relay_addresses = ["127.0.0.1", "::1"]
    allow_loopback_peers = true
  `)
  const server = await startServer(0, ['--config', file('switchboard.toml'), '--turn-listen', '127.0.0.1:0', '--turn-listen', '[::1]:0', '--admin-listen', '127.0.0.1:0'])
  const { turn: UDP, turn_tcp: TCP, turn_tls: TLS } = await server.serving
  const listed = { UDP, TCP, TLS }
  const port = (host, transport) => {
    const name = host.includes(':') ? `[${host}]:` : `${host}:`
    return Number(listed[transport].split(/, */).find(address => address.startsWith(name)).slice(name.length))
  }
  return { ...server, port }
}

/** A server with a second address, by which clients detect their NAT: all four pairs of address and port, the first one first. */
async function detecting() {
  const [port, other] = [await freePort(), await freePort()]
  const all = ['127.0.0.1', '127.0.0.2'].flatMap(ip => [`${ip}:${port}`, `${ip}:${other}`])
  if (REFERENCE) {
    const more = ['--listening-port', port, '--alt-listening-port', other, '--no-tls', '--no-dtls', '--listening-ip', '127.0.0.1', '--listening-ip', '127.0.0.2']
    return { port, all, stop: await turnserver(more) }
  }
  const flags = ['--turn-listen', `127.0.0.1:${port}`, '--set', `turn.nat_detection=127.0.0.2:${other}`, '--set', 'turn.relay_addresses=127.0.0.1']
  const server = await startServer(0, flags)
  return { port, all, stop: server.stop }
}

/** coturn's server with the same settings. */
async function reference() {
  const [plain, secure] = [await freePort(), await freePort()]
  const stop = await turnserver([
    '--listening-port', plain, '--tls-listening-port', secure, '--cert', file('certificate.pem'), '--pkey', file('key.pem'),
    ...['127.0.0.1', '::1'].flatMap(ip => ['--listening-ip', ip, '--relay-ip', ip]),
  ])
  return { port: (_, transport) => transport === 'TLS' ? secure : plain, stop }
}

/** Starts coturn's server, and gives what ends it. */
async function turnserver(flags) {
  const child = spawn('turnserver', [
    '-n', '--no-cli', '--realm', 'tests', '--allow-loopback-peers', '--use-auth-secret', '--static-auth-secret', SECRET,
    '--log-file', 'stdout', '--pidfile', file('pid'), ...flags,
  ], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const data of child.stdout) if (/Relay ports initialization done/.test(data)) break
  child.stdout.resume()
  return () => end(child)
}

/** coturn's echoing peer, on loopback of both families. */
async function echo() {
  const port = await freePort()
  const child = spawn('turnutils_peer', ['-L', '127.0.0.1', '-L', '::1', '-p', port], { stdio: 'ignore' })
  await once(child, 'spawn')
  await echoes(port)
  return { port, stop: () => end(child) }
}

async function end(child) {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** Waits until the peer echoes. */
async function echoes(port) {
  const socket = dgram.createSocket('udp4')
  const again = setInterval(() => socket.send('here?', port, '127.0.0.1'), 20)
  try {
    await once(socket, 'message', { signal: AbortSignal.timeout(LIMIT_MS) })
  } finally {
    clearInterval(again)
    socket.close()
  }
}

/**
 * Runs `turnutils_uclient` and gives what it said; fails where it fails. Over TLS it loses what comes faster than it reads, from
 * any server.
 */
async function uclient({ host = '127.0.0.1', transport = 'UDP', user = 'ann', credentials = ['-W', SECRET], flags = [] }) {
  const options = [...TRANSPORTS[transport], '-u', user, ...credentials, '-p', server.port(host, transport), '-L', host, '-n', 20, '-m', 2, '-l', 200, '-z', transport === 'TLS' ? 50 : 5]
  try {
    const { stdout, stderr } = await run('turnutils_uclient', [...options, ...flags, host].map(String), { timeout: LIMIT_MS })
    return stdout + stderr
  } catch (error) {
    throw new Error(`turnutils_uclient ${flags.join(' ')}: ${error.signal ?? error.code}\n${error.stdout?.slice(-2000)}${error.stderr?.slice(-500)}`)
  }
}

/** Everything that was sent came back. */
function whole(said) {
  const [, sent, received] = said.match(/tot_send_msgs=(\d+), tot_recv_msgs=(\d+)(?![^]*tot_send_msgs)/) ?? []
  assert.ok(Number(sent) > 0, said)
  assert.equal(received, sent, said)
  assert.match(said, /Total lost packets 0 \(0\.0+%\)/)
}

const WAYS = [['channels', []], ['Send indications', ['-s']]]

for (const host of ['127.0.0.1', '::1']) for (const transport of Object.keys(TRANSPORTS)) for (const [way, by] of WAYS) {
  test(`${transport} to ${host}, ${way}: to a peer, and from client to client`, async () => {
    const family = host.includes(':') ? ['-x'] : []
    whole(await uclient({ host, transport, flags: [...by, ...family, '-e', host, '-r', peer.port] }))
    whole(await uclient({ host, transport, flags: [...by, ...family, '-y'] }))
  })
}

for (const [what, flags] of [
  ['an IPv6 relay for an IPv4 client', ['-x', '-e', '::1']],
  ['an even port with the next one reserved, and one port alone', ['-e', '127.0.0.1']],
  ['padding of channel data, as pjnath sends it', ['-D', '-e', '127.0.0.1']],
  ['DONT-FRAGMENT', ['-g', '-c', '-e', '127.0.0.1']],
  ['more permissions and channels than needed', ['-G', '-e', '127.0.0.1']],
]) test(what, async () => whole(await uclient({ flags: [...flags, '-r', peer.port] })))

for (const transport of Object.keys(TRANSPORTS)) test(`both families in one allocation, over ${transport}`, async () => {
  whole(await uclient({ transport, flags: ['-Z', '-y'] }))
})

test('a wrong request is refused for what is wrong about it, and the right ones before, beside and after it are served', async () => {
  const flags = ['-e', '127.0.0.1', '-r', peer.port]
  whole(await uclient({ flags }))
  const before = await answered()
  // The tool allocates, binds a channel, binds it to another peer as well, and ends with 255 by design where that is refused.
  await assert.rejects(uclient({ flags: ['-N', ...flags] }), /: 255[^]*channel bind: error 400/)
  if (!REFERENCE) await answeredSince(before, answers => assert.deepEqual(answers, {
    'allocate 0': 3, 'allocate 401': 3, 'refresh 0': 3, 'channel_bind 0': 1, 'channel_bind 400': 1,
  }))
  whole(await uclient({ flags }))
})

/** How often the server has given each answer, and for what credentials were no good. */
async function answered() {
  if (REFERENCE) return {}
  const found = Object.entries(await server.counters()).flatMap(([series, count]) => {
    const [, method, code] = /^switchboard_turn_requests_total\{method="(\w+)",code="(\w+)"\}$/.exec(series) ?? []
    const [, reason] = /^switchboard_turn_auth_failures_total\{reason="(\w+)"\}$/.exec(series) ?? []
    return method ? [[`${method} ${code}`, count]] : reason ? [[reason, count]] : []
  })
  return Object.fromEntries(found)
}

/** Waits until `check` holds of what has been answered since `before`: workers publish at the end of a round, after their answers. */
async function answeredSince(before, check) {
  for (const end = Date.now() + LIMIT_MS; ;) {
    const grown = Object.entries(await answered()).map(([name, count]) => [name, count - (before[name] ?? 0)]).filter(([, count]) => count > 0)
    try {
      return check(Object.fromEntries(grown))
    } catch (error) {
      if (Date.now() > end) throw error
    }
  }
}

test('a static user is served, a wrong password and an unknown user are not', { skip: REFERENCE && 'coturn takes one kind of users at a time' }, async () => {
  const flags = ['-e', '127.0.0.1', '-r', peer.port]
  whole(await uclient({ user: 'static', credentials: ['-w', 'a password'], flags }))
  const before = await answered()
  await assert.rejects(uclient({ user: 'static', credentials: ['-w', 'another'], flags }), /Cannot complete Allocation/)
  await assert.rejects(uclient({ user: 'nobody', credentials: ['-w', 'a password'], flags }), /Cannot complete Allocation/)
  await answeredSince(before, ({ password, unknown_user, ...others }) => {
    assert.ok(password > 0 && unknown_user > 0)
    assert.deepEqual(Object.keys(others), ['allocate 401'])
  })
  whole(await uclient({ user: 'static', credentials: ['-w', 'a password'], flags }))
})

test('credentials of another secret are refused', async () => {
  const flags = ['-e', '127.0.0.1', '-r', peer.port]
  whole(await uclient({ flags }))
  const before = await answered()
  await assert.rejects(uclient({ credentials: ['-W', 'another secret that is long enough'], flags }), /Cannot complete Allocation/)
  if (!REFERENCE) await answeredSince(before, ({ password, ...others }) => {
    assert.ok(password > 0)
    assert.deepEqual(Object.keys(others), ['allocate 401'])
  })
  whole(await uclient({ flags }))
})

test('turnutils_stunclient learns its address', async () => {
  for (const [host, family] of [['127.0.0.1', 'IPv4'], ['::1', 'IPv6']]) {
    const { stdout } = await run('turnutils_stunclient', ['-p', String(server.port(host, 'UDP')), '-L', host, host], { timeout: LIMIT_MS })
    assert.match(stdout, new RegExp(String.raw`${family}\. UDP reflexive addr: \[?${host}\]?:\d+`))
  }
})

test('NAT detection: turnutils_stunclient is answered from the other address, at another port, and with padding', async () => {
  const server = await detecting()
  try {
    const ask = () => run('turnutils_stunclient', ['-p', String(server.port), '-L', '127.0.0.1', '127.0.0.1'], { timeout: LIMIT_MS })
    // It wants the port after its own, which somebody else may have: then it says so and ends.
    const { stdout } = await ask().catch(error => /bind/.test(error.stdout + error.stderr) ? ask() : Promise.reject(error))
    const [first, , , opposite] = server.all
    const answers = stdout.split(/RFC 5780 response \d/).slice(1)
    assert.deepEqual(answers.map(answer => answer.match(/Response origin: : (\S+)/)?.[1]), [first, opposite, opposite], stdout)
    for (const answer of answers) assert.match(answer, /UDP reflexive addr: 127\.0\.0\.1:\d+/)
  } finally {
    await server.stop()
  }
})

test('NAT detection: turnutils_natdiscovery finds mapping, filtering, hairpinning, and how long a mapping lives', async () => {
  const server = await detecting()
  try {
    const { stdout } = await run('turnutils_natdiscovery', ['-m', '-f', '-H', '-t', '-T', '1', '-p', String(server.port), '-L', '127.0.0.1', '127.0.0.1'], { timeout: LIMIT_MS })
    const [, lifetime, hairpinning, mapping] = stdout.split(/^-= .* =-$/m)
    // Asked from another port after the time, the server answers the first one: the mapping still lives.
    assert.equal(lifetime.match(/UDP reflexive addr: 127\.0\.0\.1:\d+/g)?.length, 2, stdout)
    assert.match(hairpinning, /UDP reflexive addr[^]*Received a request \(maybe a successful hairpinning\)/, stdout)
    assert.match(mapping, /NAT with Endpoint Independent Mapping!/, stdout)
    assert.match(stdout, /NAT with Endpoint Independent Filtering!/)
  } finally {
    await server.stop()
  }
})

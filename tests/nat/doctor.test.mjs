// What `switchboard doctor` says of a relay that others do not reach: its ports behind a firewall, or an address that nobody has.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { Lab, SERVER } from './support/lab.mjs'
import { unavailable } from './support/namespaces.mjs'
import { BINARY, startServer } from './support/server.mjs'

const skip = unavailable()
const [TURN] = SERVER
const SECRET = '6f3e0b9d1c2a48577e6c0f1b2d3a4958'
const RELAYS = '49152-65535'
const UDP = `turn:${TURN}:3478?transport=udp`
const TCP = `turn:${TURN}:3478?transport=tcp`
/** The doctor gives up on each way after 12 s. */
const TEST_MS = 60_000

/** Makes a lab for the tests around, its server started with these arguments too. */
function serving(...more) {
  const made = {}
  before(async () => {
    if (skip) return
    made.lab = new Lab()
    await startServer(made.lab.server, ['--set', `turn.secret=${SECRET}`, ...more])
  })
  after(() => made.lab?.destroy())
  return made
}

/** Examines from a host: how it ends, and what it says without line breaks. */
async function doctor(host, ...servers) {
  const child = host.spawn(BINARY, ['doctor', ...servers, '--secret', SECRET], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return { code, said: said.replace(/\s+/g, ' ') }
}

describe('the doctor', { skip }, () => {
  const made = serving()

  for (const kind of ['none', 'port-restricted', 'symmetric']) {
    test(`shows from behind ${kind} that the relay's ports are open`, { timeout: TEST_MS }, async () => {
      const { code, said } = await doctor(made.lab.member(kind, `open-${kind}`).host, UDP, TCP)
      assert.equal(code, 0, said)
      assert.equal(said.match(/ports open/g)?.length, 2, said)
      assert.match(said, /Everything works: who cannot connect directly is relayed\./)
    })
  }

  test('does not claim from the server itself that others reach the relay', { timeout: TEST_MS }, async () => {
    const { code, said } = await doctor(made.lab.server, UDP)
    assert.equal(code, 0, said)
    assert.match(said, /ports not shown to be open .* the server sees you at its own address, 5\.1\.0\.2\./)
  })

  test('does not blame the server where UDP does not leave the network', { timeout: TEST_MS }, async () => {
    const { code, said } = await doctor(made.lab.member('udp-blocked', 'blocked').host, TCP)
    assert.equal(code, 0, said)
    assert.match(said, /nothing shows that UDP leaves the network here/)
  })

  test('finds relay ports that a firewall closes', { timeout: TEST_MS }, async () => {
    const { server } = made.lab
    const host = made.lab.member('none', 'before-the-wall').host
    server.route(`table inet wall { chain in { type filter hook input priority 0; udp dport ${RELAYS} drop\n}\n}`)
    try {
      const { code, said } = await doctor(host, UDP, TCP)
      assert.equal(code, 1, said)
      assert.equal(said.match(/✗ TURN .*? ports are not shown to be open from here/g)?.length, 2, said)
      assert.match(said, /Open the UDP ports of turn\.relay_ports .* firewall/)
      assert.match(said, /nothing shows that others reach the relay's ports/)
    } finally {
      server.route('delete table inet wall')
    }
  })
})

describe('the doctor of a server with a wrong relay address', { skip }, () => {
  const made = serving('--set', `turn.relay_addresses=5.1.0.99/${TURN}`)

  test('finds that nobody has it', { timeout: TEST_MS }, async () => {
    const { code, said } = await doctor(made.lab.member('none', 'outside').host, UDP)
    assert.equal(code, 1, said)
    assert.match(said, /nothing sent from here to the relay at 5\.1\.0\.99:\d+ arrives/)
    assert.match(said, /set turn\.relay_addresses to its public address if 5\.1\.0\.99 is not that/)
  })
})

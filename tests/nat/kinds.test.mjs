// The lab does not lie: from behind each kind of router, the NAT behaves as RFC 5780 would find a real one of its name.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { KIND_IDS, TCP_PORTS } from './support/kinds.mjs'
import { Lab, SERVER } from './support/lab.mjs'
import { unavailable } from './support/namespaces.mjs'

const skip = unavailable()
/** The Internet's own router, which is on every way. */
const INTERNET = 1
/**
 * What every datagram is sent from, and so carried by: what one processor forwards stays in order, so that after a round trip
 * what was sent before has come or never will. On two, a busy one may hold back what the other overtakes.
 */
const PROCESSOR = skip ? '0' : /Cpus_allowed_list:\s*(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]
const program = (name, ...lists) => ['-c', PROCESSOR, process.execPath, path.join(import.meta.dirname, 'support', name), ...lists.map(String)]

let lab
const members = new Map()

before(async () => {
  if (skip) return
  lab = new Lab()
  for (const id of KIND_IDS) members.set(id, lab.member(id, id))
  const reflector = lab.server.spawn('taskset', program('reflector.mjs', SERVER, TCP_PORTS), { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(reflector.stdout, 'data')
})

after(() => lab?.destroy())

async function probe({ host }) {
  const { stdout } = await promisify(execFile)('ip', ['netns', 'exec', host.namespace, 'taskset', ...program('probe.mjs', SERVER, TCP_PORTS)])
  return JSON.parse(stdout)
}

describe('what a probe finds behind', { skip, concurrency: 2 }, () => {
  for (const id of KIND_IDS) {
    test(id, { timeout: 60_000 }, async () => {
      const member = members.get(id)
      const { kind } = member
      const found = await probe(member)
      const { mapping, filtering, tcp } = kind
      assert.deepEqual({ mapping: found.mapping, filtering: found.filtering, tcp: found.tcp }, { mapping, filtering, tcp })
      if (mapping === null) return
      assert.equal(found.seen, member.publicAddress, 'the server sees the public address')
      assert.equal(found.hops, INTERNET + kind.routers, 'the routers on the way')
      assert.equal(found.keepsPort, !['symmetric', 'cgnat'].includes(id), 'whether the port is the one inside')
    })
  }
})

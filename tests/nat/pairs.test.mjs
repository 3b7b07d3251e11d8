// Whoever they are and whatever they sit behind, two pages chat: directly where the rules of NAT allow it, through the
// server's TURN where they do not.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { direct, KIND_IDS } from './support/kinds.mjs'
import { Lab, SERVER } from './support/lab.mjs'
import { Members } from './support/members.mjs'
import { unavailable } from './support/namespaces.mjs'
import { startServer } from './support/server.mjs'
import { tables, writeTables } from './support/table.mjs'

const skip = unavailable()
/** Most of a pair's time is ICE's own patience with pairs of candidates that never answer. */
const CONCURRENCY = 12
const TEST_MS = 180_000
/** Pairs that only a relay connects, and after how many attempts that is shown. */
const WITHOUT = [['symmetric', 'symmetric'], ['symmetric', 'port-restricted'], ['symmetric', 'cgnat'], ['udp-blocked', 'none']]
const TRIES = 3
const PAIRS = KIND_IDS.flatMap((one, index) => KIND_IDS.slice(index).map(other => [one, other]))

let lab, members
/** Two of each kind, so that a kind can meet itself. */
const hosts = new Map()
const results = []

before(async () => {
  if (skip) return
  lab = new Lab()
  for (const id of KIND_IDS) hosts.set(id, ['a', 'b'].map(which => lab.member(id, `${id}-${which}`)))
  members = new Members(await startServer(lab.server))
  // All of them first: a browser that starts takes what ICE's checks of the others, which have their time limits, would need.
  for (const pair of hosts.values()) await Promise.all(pair.map(member => members.page(member)))
})

after(async () => {
  await members?.close()
  lab?.destroy()
  if (results.length < PAIRS.length) return
  console.log(tables(results))
  if (process.env.NAT_TABLE === 'write') writeTables(results)
})

/** Both in one room. */
async function meet(one, other, room, options) {
  const pair = [hosts.get(one)[0], hosts.get(other)[one === other ? 1 : 0]]
  const guests = []
  for (const member of pair) guests.push(await members.join(member, room, options))
  return { guests, kinds: pair.map(({ kind }) => kind) }
}

/** What both say of their path, once they agree. */
async function pathOf(guests, kinds) {
  const [wanted, kind] = direct(...kinds) ? ['goes', 'direct'] : ['settles', 'relayed']
  const last = [0, 0]
  for (;;) {
    const found = await Promise.allSettled(guests.map((guest, index) => guest.until(wanted, kind, last[index])))
    if (found.some(({ reason }) => reason)) {
      const said = await Promise.allSettled(found.map(({ reason }, end) => (reason ? reason.message : guests[end].report())))
      throw new Error(said.map(({ value, reason }) => value ?? reason).join('\nthe other end:\n'))
    }
    const paths = found.map(({ value }) => value)
    const [one, other] = paths
    if (same(one.localAddress, other.remoteAddress) && same(other.localAddress, one.remoteAddress)) return paths
    paths.forEach(({ refreshed }, index) => { last[index] = refreshed })
  }
}

/** An address that one end does not know, for it was never told, is no contradiction. */
const same = (one, other) => one === undefined || other === undefined || one === other

/** Holds one end's leg to the relay against what its network lets out. */
function checkLeg({ local, relayProtocol, relayUrl }, { id, mapping }) {
  if (mapping === null) assert.equal(local, 'relay', `${id} reaches nobody but by a relay of its own`)
  if (local !== 'relay') return
  if (mapping !== null) assert.equal(relayProtocol, 'udp', `${id} has UDP to its relay`)
  else assert.match(relayProtocol, /^(tcp|tls)$/, `${id} has no UDP to its relay`)
  if (id === 'only-443') assert.match(relayUrl, /:443\b/)
}

describe('a page finds a path', { skip, concurrency: CONCURRENCY }, () => {
  for (const [index, [one, other]] of PAIRS.entries()) {
    test(`${one} – ${other}`, { timeout: TEST_MS }, async () => {
      const { guests, kinds } = await meet(one, other, `pair-of-${10 + index}`)
      await Promise.all(guests.map(guest => guest.opened()))
      for (const [from, to] of [guests, guests.toReversed()]) {
        const text = `hello from ${guests.indexOf(from)}`
        assert.deepEqual(await from.say(text), ['delivered'])
        await to.heard(text)
      }
      const paths = await pathOf(guests, kinds)
      paths.forEach((path, end) => checkLeg(path, kinds[end]))
      results.push({ kinds: [one, other], paths })
      await Promise.all(guests.map(guest => guest.leave()))
    })
  }

  // What makes the relayed ones mean something: these have no other way.
  for (const [index, [one, other]] of WITHOUT.entries()) {
    test(`${one} – ${other}: none without a relay`, { timeout: TEST_MS }, async () => {
      const stun = { iceServers: [{ urls: [`stun:${SERVER[0]}:3478`] }] }
      const { guests } = await meet(one, other, `alone-${100 + index}`, stun)
      await Promise.all(guests.map(guest => guest.until('beganAgain', TRIES)))
      for (const guest of guests) assert.equal(await guest.now('opened'), null, await guest.now('report'))
      await Promise.all(guests.map(guest => guest.leave()))
    })
  }
})

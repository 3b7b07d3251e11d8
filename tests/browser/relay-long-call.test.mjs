// A call through the relay outlives its credentials. They last a minute, and the relay takes no expired ones to refresh an
// allocation. In the suite the call outlives the first credentials, and must have left their allocations by then; with
// LONG_CALL=1 it lasts five minutes, and its counterpart that hears of no new credentials must break when Chromium first
// refreshes, a minute before the allocation's ten are over.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connected, events, join, openBlank, roomOf, seen, until } from './support/browser.mjs'
import { launchTrusting, startRelay } from './support/relay.mjs'

const CREDENTIALS_S = 60
const LONG = process.env.LONG_CALL === '1'
const CALL_S = LONG ? 300 : CREDENTIALS_S + 5
const PATIENCE_MS = 20_000
/** What the relay grants, and Chromium asks for (RFC 8656 §7.2). */
const ALLOCATION_S = 600

let server, browser
before(async () => {
  server = await startRelay(['--set', `turn.credential_lifetime=${CREDENTIALS_S}s`, '--set', `turn.max_allocation_lifetime=${ALLOCATION_S}s`])
  browser = await launchTrusting(server)
})
after(async () => { await browser?.close(); await server?.stop() })

/** In the page, before anything else: what the server says of new credentials gets lost. */
function deafToRenewals() {
  const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage')
  Object.defineProperty(WebSocket.prototype, 'onmessage', {
    set(listener) { set.call(this, listener && (event => { if (JSON.parse(event.data).type !== 'ice-servers') listener(event) })) },
  })
}

/** Two pages that hear and see each other through the relay, and write a line every second. */
async function call(prepare) {
  const ann = await openBlank(browser, server.url)
  const bob = await openBlank(browser, server.url)
  for (const page of [ann, bob]) if (prepare) await page.evaluate(prepare)
  await join(ann, null, { relayOnly: true })
  await join(bob, await roomOf(ann), { relayOnly: true })
  await Promise.all([connected(ann), connected(bob)])
  for (const page of [ann, bob]) {
    await page.evaluate(() => {
      const canvas = document.createElement('canvas')
      let frame = 0
      setInterval(() => canvas.getContext('2d').fillText(`${frame++}`, 10, 10), 100)
      const stream = canvas.captureStream(10)
      const [peer] = globalThis.room.peers.values()
      peer.connection.addTrack(stream.getVideoTracks()[0], stream)
      let line = 0
      setInterval(() => globalThis.room.send(`line ${line++}`), 1000)
    })
  }
  await Promise.all([ann, bob].map(page => seen(page, 'track', { kind: 'video' })))
  return [ann, bob]
}

/** Waits until a page has heard so many lines: the call's own clock. */
const heard = (page, lines) => seen(page, 'message', {}, { count: lines, within: lines * 2000 + PATIENCE_MS })
const frames = page => page.evaluate(async () => {
  const stats = await [...globalThis.room.peers.values()][0].connection.getStats()
  return [...stats.values()].find(({ type }) => type === 'inbound-rtp')?.framesDecoded ?? 0
})

const relayed = page => page.evaluate(async () => (await [...globalThis.room.peers.values()][0].path()).localAddress)

describe('calls', { concurrency: true }, () => {
  test(`a call of ${CALL_S} s with credentials of ${CREDENTIALS_S} s goes on without a gap`, async () => {
    const pages = await call()
    const first = await Promise.all(pages.map(relayed))
    await Promise.all(pages.map(page => heard(page, CALL_S)))
    const renewals = await Promise.all(pages.map(async page => (await events(page, 'step')).filter(({ kind }) => kind === 'ice-servers').length))
    for (const count of renewals) assert.ok(count >= Math.floor(CALL_S / CREDENTIALS_S), `${count} renewals`)
    for (const page of pages) {
      assert.deepEqual((await events(page, 'peerstate')).map(({ state }) => state), ['open'], 'never interrupted')
      const times = (await events(page, 'message')).map(({ at }) => at)
      const gap = Math.max(...times.slice(1).map((at, before) => at - times[before]))
      assert.ok(gap < 5000, `a line came ${Math.round(gap)} ms after the one before`)
      const before = await frames(page)
      await until(page, async before => {
        const stats = await [...globalThis.room.peers.values()][0].connection.getStats()
        return [...stats.values()].find(({ type }) => type === 'inbound-rtp').framesDecoded > before
      }, before)
      assert.equal((await page.evaluate(() => [...globalThis.room.peers.values()][0].path())).local, 'relay')
      assert.ok(!first.includes(await relayed(page)), 'the allocation of the first credentials is left')
      assert.deepEqual(await events(page, 'error'), [])
    }
    await Promise.all(pages.map(page => page.context().close()))
  })

  test('without the renewal the call breaks: the relay takes no expired credentials', { skip: LONG ? false : 'LONG_CALL=1 runs it: it takes nine minutes' }, async () => {
    const pages = await call(deafToRenewals)
    await Promise.any(pages.map(page => seen(page, 'peerstate', { state: 'interrupted' }, { within: ALLOCATION_S * 1000 + PATIENCE_MS })))
    for (const page of pages) assert.ok((await events(page, 'message')).length > CREDENTIALS_S / 2, 'it lasted as long as its credentials')
    await Promise.all(pages.map(page => page.context().close()))
  })
})

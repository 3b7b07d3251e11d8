// Somebody goes, or only seems to: told once, in time, and not at all where the channel still answers.
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { after, before, test } from 'node:test'
import { connected, events, idOf, join, joinPage, launch, launchMortal, openBlank, PATIENCE_MS, roomOf, seen, until } from './support/browser.mjs'
import { cuttable } from './support/proxy.mjs'
import { startServer } from './support/server.mjs'

/** `hasty` gives up who is away while the others' channels may answer still. */
let server, hasty, browser
before(async () => {
  [server, hasty, browser] = await Promise.all([startServer(), startServer(0, ['--set', 'limits.grace=2s']), launch()])
})
after(async () => { await browser?.close(); await server?.stop(); await hasty?.stop() })

const close = pages => Promise.all(pages.map(page => page.context().close()))

/** What the server has said to a page, and who wants to know of it. */
const words = new WeakMap()

/** A page that has joined, and whose socket is listened to. */
async function joinOverheard(url, room) {
  const page = await openBlank(browser, url)
  const said = Object.assign(new EventEmitter(), { messages: [] })
  words.set(page, said)
  page.on('websocket', socket => socket.on('framereceived', ({ payload }) => {
    said.messages.push(JSON.parse(payload))
    said.emit('word')
  }))
  await join(page, room)
  return page
}

/** Waits for the server's own word that a member has left; returns its reason. */
async function serverSaid(page, id) {
  const said = words.get(page)
  for (;;) {
    const word = said.messages.find(message => message.type === 'peer-left' && message.id === id)
    if (word) return word.reason
    await once(said, 'word', { signal: AbortSignal.timeout(PATIENCE_MS) })
  }
}

/** Asserts that the page was told of one departure; what comes after a fence of messages would have come by then. */
async function toldOnce(page, id, reasons) {
  const left = (await events(page, 'peerleft')).filter(event => event.id === id)
  assert.equal(left.length, 1, JSON.stringify(left))
  assert.ok(reasons.includes(left[0].reason), left[0].reason)
}

test('a closed tab is told once within a second', async () => {
  const ann = await joinOverheard(hasty.url, null)
  const room = await roomOf(ann)
  const [bob, eve] = await Promise.all([joinPage(browser, hasty.url, room), joinOverheard(hasty.url, room)])
  await Promise.all([connected(ann, 2), connected(eve, 2)])
  const id = await idOf(bob)
  await bob.close()
  await Promise.all([ann, eve].map(page => seen(page, 'peerleft', { id }, { within: 1000 })))
  for (const page of [ann, eve]) assert.equal(await serverSaid(page, id), 'left')
  // The server's word comes after the channel's: once a later newcomer is known, it was acted on.
  const zoe = await joinPage(browser, hasty.url, room)
  await Promise.all([connected(ann, 2), connected(eve, 2)])
  for (const page of [ann, eve]) await toldOnce(page, id, ['left'])
  await close([ann, eve, zoe])
})

test('a reloaded page comes back as somebody new', async () => {
  const ann = await joinPage(browser, server.url, null)
  const bob = await joinPage(browser, server.url, await roomOf(ann))
  await connected(ann)
  const id = await idOf(bob)
  await bob.reload()
  await seen(ann, 'peerleft', { id }, { within: 1500 })
  await bob.evaluate(room => globalThis.recorder.join(room), await roomOf(ann))
  await connected(ann)
  await toldOnce(ann, id, ['left'])
  await close([ann, bob])
})

test('a killed browser is told once within six seconds', async () => {
  const mortal = await launchMortal()
  const ann = await joinOverheard(hasty.url, null)
  const bob = await joinPage(mortal.browser, hasty.url, await roomOf(ann))
  await connected(ann)
  const id = await idOf(bob)
  mortal.kill()
  await seen(ann, 'peerleft', { id }, { within: 6000 })
  assert.equal(await serverSaid(ann, id), 'lost')
  const eve = await joinPage(browser, hasty.url, await roomOf(ann))
  await connected(ann)
  await toldOnce(ann, id, ['gone', 'lost', 'left'])
  await close([ann, eve])
})

test('a killed browser is told once within six seconds with the server down too', async t => {
  const own = await startServer()
  t.after(own.kill)
  const mortal = await launchMortal()
  const ann = await joinPage(browser, own.url, null)
  const bob = await joinPage(mortal.browser, own.url, await roomOf(ann))
  await connected(ann)
  const id = await idOf(bob)
  await own.kill()
  await seen(ann, 'signalling', { state: 'lost' })
  mortal.kill()
  await seen(ann, 'peerleft', { id }, { within: 6000 })
  await toldOnce(ann, id, ['gone'])
  await close([ann])
})

test('a cut socket is no departure while the channel answers', async t => {
  const proxy = await cuttable(server.port)
  t.after(() => proxy.close())
  const ann = await joinPage(browser, server.url, null)
  const bob = await joinPage(browser, proxy.url, await roomOf(ann))
  await Promise.all([connected(ann), connected(bob)])
  await proxy.cut()
  await seen(bob, 'signalling', { state: 'lost' })
  await until(ann, () => [...globalThis.room.peers.values()][0].away)
  await bob.evaluate(() => globalThis.room.send('still here').done)
  await ann.evaluate(() => globalThis.room.send('I hear you').done)
  await Promise.all([seen(ann, 'message', { data: 'still here' }), seen(bob, 'message', { data: 'I hear you' })])
  // Longer than a departure would take to be told.
  // tidy: allow(sleep) - that nothing happens for a time is what is tested
  await ann.waitForTimeout(6500)
  assert.deepEqual(await events(ann, 'peerleft'), [])
  assert.deepEqual(await events(bob, 'peerleft'), [])
  const id = await idOf(bob)
  await proxy.mend()
  await seen(bob, 'signalling', { state: 'open' })
  await until(ann, () => ![...globalThis.room.peers.values()][0].away)
  assert.equal(await idOf(bob), id)
  assert.equal((await events(ann, 'peer')).length, 1)
  assert.deepEqual((await events(ann, 'peerstate')).map(({ state }) => state), ['open'])
  await close([ann, bob])
})

test('a cut socket is no departure while the channel answers, also when the server has given the place up', async t => {
  const proxy = await cuttable(hasty.port)
  t.after(() => proxy.close())
  const ann = await joinOverheard(hasty.url, null)
  const bob = await joinPage(browser, proxy.url, await roomOf(ann))
  await Promise.all([connected(ann), connected(bob)])
  const id = await idOf(bob)
  await proxy.cut()
  assert.equal(await serverSaid(ann, id), 'lost')
  await seen(ann, 'step', { id, kind: 'stays' })
  await bob.evaluate(() => globalThis.room.send('still here').done)
  await ann.evaluate(() => globalThis.room.send('I hear you').done)
  await Promise.all([seen(ann, 'message', { data: 'still here' }), seen(bob, 'message', { data: 'I hear you' })])
  await proxy.mend()
  await seen(bob, 'signalling', { state: 'open' })
  await until(ann, () => ![...globalThis.room.peers.values()][0].away)
  await ann.evaluate(() => globalThis.room.send('welcome back').done)
  await seen(bob, 'message', { data: 'welcome back' })
  assert.equal(await idOf(bob), id)
  for (const page of [ann, bob]) assert.deepEqual(await events(page, 'peerleft'), [])
  assert.equal((await events(ann, 'peer')).length, 1)
  // Its real departure is told, too.
  await bob.close()
  await seen(ann, 'peerleft', { id }, { within: 1000 })
  await toldOnce(ann, id, ['left'])
  await close([ann])
})

test('a closed tab whose socket was cut before is told once within a second', async t => {
  const proxy = await cuttable(hasty.port)
  t.after(() => proxy.close())
  const ann = await joinOverheard(hasty.url, null)
  const bob = await joinPage(browser, proxy.url, await roomOf(ann))
  await Promise.all([connected(ann), connected(bob)])
  await proxy.cut()
  await until(ann, () => [...globalThis.room.peers.values()][0].away)
  const id = await idOf(bob)
  await bob.close()
  await seen(ann, 'peerleft', { id, reason: 'left' }, { within: 1000 })
  assert.equal(await serverSaid(ann, id), 'lost')
  const eve = await joinPage(browser, hasty.url, await roomOf(ann))
  await connected(ann)
  await toldOnce(ann, id, ['left'])
  await close([ann, eve])
})

test('a page that comes back from the back/forward cache joins again', async () => {
  const ann = await joinPage(browser, server.url, null)
  const bob = await joinPage(browser, server.url, await roomOf(ann))
  await connected(ann)
  // Chromium keeps no page that is driven from outside in that cache, so the events that tell of it are made.
  await bob.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })))
  await seen(ann, 'peerleft', {}, { within: 1000 })
  await bob.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })))
  await Promise.all([connected(ann), connected(bob)])
  await bob.evaluate(() => globalThis.room.send('back again').done)
  await seen(ann, 'message', { data: 'back again' })
  assert.equal((await events(ann, 'peerleft')).length, 1)
  assert.equal((await events(ann, 'peer')).length, 2)
  await close([ann, bob])
})

// The server goes and comes back under an open room.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connected, events, idOf, join, joinPage, launch, openBlank, roomOf, seen, until } from './support/browser.mjs'
import { cuttable } from './support/proxy.mjs'
import { startServer } from './support/server.mjs'

let browser
before(async () => { browser = await launch() })
after(async () => { await browser?.close() })

const close = pages => Promise.all(pages.map(page => page.context().close()))

async function pair(url) {
  const ann = await joinPage(browser, url, null, { name: 'Ann' })
  const bob = await joinPage(browser, url, await roomOf(ann), { name: 'Bob' })
  await Promise.all([connected(ann), connected(bob)])
  return [ann, bob]
}

/** Two messages, one each way, over the channel. */
async function talk([ann, bob], text) {
  await ann.evaluate(text => globalThis.room.send(text).done, `ann: ${text}`)
  await bob.evaluate(text => globalThis.room.send(text).done, `bob: ${text}`)
  await Promise.all([seen(ann, 'message', { data: `bob: ${text}` }), seen(bob, 'message', { data: `ann: ${text}` })])
}

for (const how of ['kill', 'stop']) {
  test(`the server is restarted (${how}) under an open chat: it goes on, and the room heals by itself`, async t => {
    let server = await startServer()
    t.after(() => server.stop())
    const pages = await pair(server.url)
    const ids = await Promise.all(pages.map(idOf))
    await server[how]()
    await Promise.all(pages.map(page => seen(page, 'signalling', { state: 'lost' })))
    await talk(pages, 'without a server')
    server = await startServer(server.port)
    await Promise.all(pages.map(page => seen(page, 'signalling', { state: 'open' })))
    await talk(pages, 'with a server')
    assert.deepEqual(await Promise.all(pages.map(idOf)), ids)
    const eve = await joinPage(browser, server.url, await roomOf(pages[0]), { name: 'Eve' })
    await Promise.all([...pages, eve].map(page => connected(page, 2)))
    await eve.evaluate(() => globalThis.room.send('hello, both').done)
    await Promise.all(pages.map(page => seen(page, 'message', { data: 'hello, both' })))
    for (const page of pages) {
      assert.deepEqual(await events(page, 'peerleft'), [])
      assert.deepEqual((await events(page, 'connection')).length <= 2, true)
      assert.deepEqual((await events(page, 'peerstate')).map(({ state }) => state), ['open', 'open'])
      assert.deepEqual(await events(page, 'error'), [])
    }
    await close([...pages, eve])
  })
}

for (const [what, refused, code] of [['too long', 'x'.repeat(1000), 'bad-name'], ['larger than any message', 'x'.repeat(100_000), 'too-large']]) {
  test(`a name that is ${what} is refused and taken back, and no later greeting fails for it`, async t => {
    let server = await startServer()
    t.after(() => server.stop())
    const pages = await pair(server.url)
    const [ann, bob] = pages
    const name = () => ann.evaluate(() => globalThis.room.self.name)
    const restarted = async () => {
      await server.kill()
      await seen(ann, 'signalling', { state: 'lost' }, { count: (await events(ann, 'signalling')).filter(({ state }) => state === 'lost').length + 1 })
      return { again: async () => {
        const before = (await events(ann, 'signalling')).filter(({ state }) => state === 'open').length
        server = await startServer(server.port)
        await seen(ann, 'signalling', { state: 'open' }, { count: before + 1 })
      } }
    }
    await ann.evaluate(refused => globalThis.room.rename(refused), refused)
    await seen(ann, 'error', { code })
    assert.equal(await name(), 'Ann')
    await (await restarted()).again()
    const down = await restarted()
    await ann.evaluate(refused => globalThis.room.rename(refused), refused)
    await down.again()
    assert.equal(await name(), 'Ann')
    assert.deepEqual(new Set((await events(ann, 'error')).map(event => event.code)), new Set([code]))
    await ann.evaluate(() => globalThis.room.rename('Anna'))
    await seen(bob, 'renamed', { name: 'Anna', was: 'Ann' })
    const away = await restarted()
    await ann.evaluate(() => globalThis.room.rename('Annabel'))
    await away.again()
    await seen(bob, 'renamed', { name: 'Annabel', was: 'Anna' })
    await talk(pages, 'under another name')
    await close(pages)
  })
}

test('a server that falls silent without a word is noticed', async t => {
  const server = await startServer()
  t.after(server.stop)
  const proxy = await cuttable(server.port)
  t.after(() => proxy.close())
  const ann = await joinPage(browser, proxy.url, null)
  proxy.freeze()
  await seen(ann, 'signalling', { state: 'lost' }, { within: 40_000 })
  await seen(ann, 'signalling', { state: 'open' })
  await close([ann])
})

for (const [what, text] of [['offer', '"type":"offer"'], ['candidates', '"type":"candidate"']]) test(`a link whose ${what} got lost is made all the same`, async t => {
  const server = await startServer()
  t.after(server.stop)
  const proxy = await cuttable(server.port)
  t.after(() => proxy.close())
  const ann = await joinPage(browser, server.url, null)
  const room = await roomOf(ann)
  const bob = await openBlank(browser, proxy.url)
  proxy.cutBefore(text)
  await join(bob, room)
  await seen(bob, 'signalling', { state: 'lost' })
  proxy.mend()
  await Promise.all([connected(ann), connected(bob)])
  await talk([ann, bob], 'after all')
  assert.deepEqual(await events(ann, 'peerleft'), [])
  await close([ann, bob])
})

test('a connection that was closed under its feet is replaced, and loses no message', async t => {
  const server = await startServer()
  t.after(server.stop)
  const pages = await pair(server.url)
  const [ann, bob] = pages
  await ann.evaluate(() => { [...globalThis.room.peers.values()][0].connection.close() })
  await ann.evaluate(() => { globalThis.waiting = globalThis.room.send('sent into the gap') })
  await seen(bob, 'message', { data: 'sent into the gap' })
  await ann.evaluate(() => globalThis.waiting.done)
  await talk(pages, 'over the next connection')
  assert.equal((await events(bob, 'message')).filter(({ data }) => data === 'sent into the gap').length, 1)
  for (const page of pages) assert.deepEqual(await events(page, 'peerleft'), [])
  await close(pages)
})

test('a change of network restarts ICE and keeps the channel', async t => {
  const server = await startServer()
  t.after(server.stop)
  const pages = await pair(server.url)
  const [ann, bob] = pages
  const fragment = page => page.evaluate(() => /a=ice-ufrag:(\S+)/.exec([...globalThis.room.peers.values()][0].connection.localDescription.sdp)[1])
  const before = await Promise.all(pages.map(fragment))
  await ann.evaluate(() => dispatchEvent(new Event('online')))
  await until(bob, was => /a=ice-ufrag:(\S+)/.exec([...globalThis.room.peers.values()][0].connection.localDescription.sdp)[1] !== was, before[1])
  assert.notEqual(await fragment(ann), before[0])
  await talk(pages, 'on another network')
  for (const page of pages) assert.deepEqual((await events(page, 'peerstate')).map(({ state }) => state), ['open'])
  await close(pages)
})

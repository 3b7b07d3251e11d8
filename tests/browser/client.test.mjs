// The browser client's ordinary days: people come, talk, change their names and leave.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connected, events, idOf, join, joinPage, launch, openBlank, roomOf, seen } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server, browser
before(async () => { [server, browser] = await Promise.all([startServer(), launch()]) })
after(async () => { await browser?.close(); await server?.stop() })

/** Two connected pages. */
async function pair(options = {}, other = options) {
  const first = await joinPage(browser, server.url, null, { name: 'Ann', ...options })
  const second = await joinPage(browser, server.url, await roomOf(first), { name: 'Bob', ...other })
  await Promise.all([connected(first), connected(second)])
  return [first, second]
}

const close = pages => Promise.all(pages.map(page => page.context().close()))

test('two pages find each other and talk both ways', async () => {
  const pages = await pair()
  const [ann, bob] = pages
  assert.equal(await ann.evaluate(() => globalThis.room.created), true)
  assert.equal(await bob.evaluate(() => globalThis.room.created), false)
  assert.deepEqual((await events(ann, 'peer')).map(({ name, dialect }) => [name, dialect]), [['Bob', 'switchboard']])
  assert.deepEqual(await events(bob, 'peer'), [], 'who was there before is in `peers` and not told')
  await ann.evaluate(async () => { await globalThis.room.send('hello').done })
  await bob.evaluate(async () => { await globalThis.room.send('здравствуйте 👋').done })
  const [[atBob], [atAnn]] = await Promise.all([seen(bob, 'message'), seen(ann, 'message')])
  assert.equal(atBob.data, 'hello')
  assert.equal(atAnn.data, 'здравствуйте 👋')
  assert.ok(Math.abs(atBob.sentAt - Date.now()) < 60_000)
  await seen(ann, 'delivery', { to: await idOf(bob), state: 'delivered' })
  await close(pages)
})

test('the path is direct, over UDP', async () => {
  const pages = await pair()
  const path = await pages[0].evaluate(async () => {
    for (;;) {
      const path = await [...globalThis.room.peers.values()][0].path()
      if (path?.bytesReceived > 0) return path
      await new Promise(requestAnimationFrame)
    }
  })
  assert.equal(path.kind, 'direct')
  // The server's own STUN is on loopback, so that a server reflexive candidate may be as good as a host candidate.
  for (const candidate of [path.local, path.remote]) assert.ok(['host', 'srflx', 'prflx'].includes(candidate), JSON.stringify(path))
  assert.equal(path.protocol, 'udp')
  assert.ok(path.bytesSent > 0)
  const [own, others] = await Promise.all(pages.map(page => page.evaluate(() => [...globalThis.room.peers.values()][0].traceId)))
  assert.equal(own, others)
  await close(pages)
})

test('three pages form a mesh', async () => {
  const [ann, bob] = await pair()
  const eve = await joinPage(browser, server.url, await roomOf(ann), { name: 'Eve' })
  await Promise.all([connected(ann, 2), connected(bob, 2), connected(eve, 2)])
  await eve.evaluate(() => globalThis.room.send('to all').done)
  await Promise.all([seen(ann, 'message', { data: 'to all' }), seen(bob, 'message', { data: 'to all' })])
  await eve.evaluate(to => globalThis.room.send('to one', { to }).done, await idOf(ann))
  await ann.evaluate(() => globalThis.room.send('the end').done)
  await Promise.all([seen(ann, 'message', { data: 'to one' }), seen(bob, 'message', { data: 'the end' })])
  assert.equal((await events(bob, 'message')).filter(({ data }) => data === 'to one').length, 0)
  await close([ann, bob, eve])
})

test('a message sent before the channel is open waits for it', async () => {
  const ann = await joinPage(browser, server.url, null)
  await ann.evaluate(() => globalThis.room.on('peer', ({ peer }) => { globalThis.early = peer.send('early') }))
  const bob = await joinPage(browser, server.url, await roomOf(ann))
  await seen(bob, 'message', { data: 'early' })
  await ann.evaluate(() => globalThis.early.done)
  assert.deepEqual(await ann.evaluate(() => [...globalThis.early.to.values()]), ['delivered'])
  await close([ann, bob])
})

test('a newcomer may be the one who offers', async () => {
  const pages = await pair({ offerer: 'newcomer' })
  const sent = await Promise.all(pages.map(async page => (await events(page, 'step')).filter(({ kind }) => kind === 'offer-sent').length))
  assert.deepEqual(sent, [0, 1])
  await close(pages)
})

test('both offer at once and end with one connection and one channel', async () => {
  const pages = await Promise.all([openBlank(browser, server.url), openBlank(browser, server.url)])
  const [ann, bob] = pages
  for (const page of pages) await page.evaluate(deafUntilOffered)
  await join(ann, null, { offerer: 'members' })
  await join(bob, await roomOf(ann), { offerer: 'newcomer' })
  await Promise.all([connected(ann), connected(bob)])
  for (const page of pages) assert.ok((await events(page, 'step')).some(({ kind }) => kind === 'offer-sent'), 'each must have offered')
  await ann.evaluate(() => globalThis.room.send('from ann').done)
  await bob.evaluate(() => globalThis.room.send('from bob').done)
  await Promise.all([seen(ann, 'message', { data: 'from bob' }), seen(bob, 'message', { data: 'from ann' })])
  for (const page of pages) {
    assert.deepEqual((await events(page, 'peerstate')).map(({ state }) => state), ['open'])
    assert.deepEqual(await events(page, 'error'), [])
    assert.ok((await events(page, 'connection')).length <= 2)
  }
  const open = await Promise.all(pages.map(page => page.evaluate(async () => {
    const stats = await [...globalThis.room.peers.values()][0].connection.getStats()
    return [...stats.values()].filter(report => report.type === 'data-channel' && report.state === 'open').length
  })))
  assert.deepEqual(open, [1, 1])
  await close(pages)
})

/** In the page: holds back what comes from an offer on until an offer of one's own has gone out. */
function deafUntilOffered() {
  const { prototype } = WebSocket
  const { send } = prototype
  const { set } = Object.getOwnPropertyDescriptor(prototype, 'onmessage')
  let offered = false
  let held = []
  const isOffer = text => JSON.parse(text).type === 'offer'
  prototype.send = function (text) {
    send.call(this, text)
    if (!isOffer(text)) return
    offered = true
    for (const deliver of held.splice(0)) deliver()
  }
  Object.defineProperty(prototype, 'onmessage', {
    set(listener) {
      set.call(this, listener && (event => {
        if (offered || (held.length === 0 && !isOffer(event.data))) listener(event)
        else held.push(() => listener(event))
      }))
    },
  })
}

test('nobody offers, and still they connect', async () => {
  const pages = await pair({ offerer: 'newcomer' }, { offerer: 'members' })
  await pages[0].evaluate(() => globalThis.room.send('hello').done)
  await seen(pages[1], 'message', { data: 'hello' })
  await close(pages)
})

test('a new name is told', async () => {
  const pages = await pair()
  const [ann, bob] = pages
  await ann.evaluate(() => globalThis.room.rename('Anna'))
  await seen(bob, 'renamed', { id: await idOf(ann), name: 'Anna', was: 'Ann' })
  assert.equal(await ann.evaluate(() => globalThis.room.self.name), 'Anna')
  await close(pages)
})

test('who leaves is told once', async () => {
  const pages = await pair()
  const [ann, bob] = pages
  await bob.evaluate(() => globalThis.room.leave())
  await seen(ann, 'peerleft', { id: await idOf(bob), reason: 'left' }, { within: 1000 })
  assert.equal(await bob.evaluate(() => globalThis.room.signalling), 'closed')
  assert.equal(await bob.evaluate(() => globalThis.room.peers.size), 0)
  const eve = await joinPage(browser, server.url, await roomOf(ann), { name: 'Eve' })
  await connected(ann)
  assert.equal((await events(ann, 'peerleft')).length, 1)
  await close([...pages, eve])
})

test('one page can be in a room twice', async () => {
  const page = await openBlank(browser, server.url)
  const texts = await page.evaluate(async () => {
    const { join } = await import('/switchboard.js')
    const first = await join(null)
    first.on('peer', ({ peer }) => peer.send('to myself'))
    const second = await join(first.id)
    globalThis.trace = []
    for (const [at, room] of [['first', first], ['second', second]]) room.on('step', ({ kind, text }) => globalThis.trace.push(at + ' ' + kind + ' ' + text))
    return await Promise.race([new Promise(resolve => second.on('message', ({ data }) => resolve(data))), new Promise(resolve => setTimeout(() => resolve(globalThis.trace.join('\n')), 15000))])
  })
  assert.equal(texts, 'to myself')
  await close([page])
})

test('a refusal is told with its code', async () => {
  const page = await openBlank(browser, server.url)
  const code = (room, options) => page.evaluate(async ([room, options]) => {
    const { join } = await import('/switchboard.js')
    return await join(room, options).then(() => 'joined', error => error.code)
  }, [room, options])
  assert.equal(await code('nobody-is-here', { ifMissing: 'refuse' }), 'room-not-found')
  assert.equal(await code('x', {}), 'bad-room')
  assert.equal(await code(null, { server: 'http://127.0.0.1:1' }), 'unreachable')
  assert.equal(await code(null, { server: 'nonsense' }), 'bad-server')
  await join(page, null)
  const errors = await page.evaluate(() => [[5], ['x', { to: 'nobody' }], ['x', { to: null }], ['x', { to: [{}] }], [new ArrayBuffer(17 * 1024 * 1024)]].map(args => {
    try { return globalThis.room.send(...args) && 'sent' } catch (error) { return error.code }
  }))
  assert.deepEqual(errors, ['bad-data', 'peer-not-found', 'bad-target', 'bad-target', 'too-large'])
  await close([page])
})

test('joining can be given up', async () => {
  const page = await openBlank(browser, server.url)
  const name = await page.evaluate(async () => {
    const { join } = await import('/switchboard.js')
    const giveUp = new AbortController()
    const joining = join(null, { signal: giveUp.signal }).catch(error => error.name)
    giveUp.abort()
    return await joining
  })
  assert.equal(name, 'AbortError')
  await close([page])
})

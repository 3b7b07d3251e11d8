// Peers that say what they should not: each offence costs an `error` event and nothing else.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connected, events, joinPage, launch, openBlank, roomOf, seen, until } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server, browser
before(async () => { [server, browser] = await Promise.all([startServer(), launch()]) })
after(async () => { await browser?.close(); await server?.stop() })

const close = pages => Promise.all(pages.map(page => page.context().close()))

async function pair(options = {}) {
  const ann = await joinPage(browser, server.url, null, options)
  const bob = await joinPage(browser, server.url, await roomOf(ann), options)
  await Promise.all([connected(ann), connected(bob)])
  return [ann, bob]
}

/** Puts frames on the channel as they are; arrays are bytes. */
const put = (page, ...frames) => page.evaluate(frames => {
  const { channel } = [...globalThis.room.peers.values()][0]
  for (const frame of frames) channel.send(Array.isArray(frame) ? new Uint8Array(frame) : frame)
}, frames)

const begin = (stream, bytes, more = {}) => JSON.stringify({ type: 'begin', id: `forged-${stream}`, stream, bytes, binary: true, at: 0, ...more })

const OFFENCES = {
  'text that is not JSON': ['nonsense', 'bad-frame'],
  'JSON that is no object': ['[1]', 'bad-frame'],
  'null': ['null', 'bad-frame'],
  'no type': ['{}', 'bad-frame'],
  'a type of another kind': ['{"type":5}', 'bad-frame'],
  'a text without an id': ['{"type":"text","text":"x","at":0}', 'bad-frame'],
  'an id that is no id': ['{"type":"text","id":"<b>","text":"x","at":0}', 'bad-frame'],
  'a text that is none': ['{"type":"text","id":"a","text":{},"at":0}', 'bad-frame'],
  'a negative size': [begin(100, -1), 'bad-frame'],
  'a fractional size': [begin(100, 1.5), 'bad-frame'],
  'a size beyond all numbers': [begin(100, 1e300), 'bad-frame'],
  'a text frame beyond the limit': [JSON.stringify({ type: 'text', id: 'a', text: 'x'.repeat(70_000), at: 0 }), 'bad-frame'],
  'a chunk without contents': [[0, 0, 0, 1], 'bad-frame'],
  'a chunk of nothing that began': [[0, 0, 9, 9, 1], 'bad-frame'],
  'a message beyond the limit': [begin(1, 17 * 1024 * 1024), 'too-large'],
  'a stream that was used before': [begin(1, 5), 'bad-frame'],
}

test('frames that are wrong raise an error each, and lose nothing', async () => {
  const pages = await pair()
  const [ann, bob] = pages
  let count = 0
  for (const [what, [frame, code]] of Object.entries(OFFENCES)) {
    await put(ann, frame)
    await until(bob, count => globalThis.events.filter(({ type }) => type === 'error').length === count, ++count)
    assert.equal((await events(bob, 'error')).at(-1).code, code, what)
  }
  await ann.evaluate(() => globalThis.room.send('all the same').done)
  await bob.evaluate(() => globalThis.room.send('and back').done)
  assert.deepEqual((await events(bob, 'message')).map(({ data }) => data), ['all the same'])
  assert.deepEqual((await events(bob, 'peerstate')).map(({ state }) => state), ['open'])
  await close(pages)
})

test('types of a later version are ignored', async () => {
  const pages = await pair()
  await put(pages[0], '{"type":"wave","to":"all"}', '{"type":"__proto__"}', '{"type":"toString"}', '{"type":"ack","id":"of-nothing"}', '{"type":"pong","n":7}')
  await pages[0].evaluate(() => globalThis.room.send('x').done)
  assert.deepEqual(await events(pages[1], 'error'), [])
  await close(pages)
})

test('a message that grows beyond its size is dropped', async () => {
  const pages = await pair()
  await put(pages[0], begin(50, 3), [0, 0, 0, 50, 1, 2, 3, 4], [0, 0, 0, 50, 5])
  await seen(pages[1], 'error', { code: 'bad-message' })
  await pages[0].evaluate(() => globalThis.room.send('x').done)
  assert.equal((await events(pages[1], 'message')).length, 1)
  assert.equal((await events(pages[1], 'error')).length, 1)
  await close(pages)
})

test('text that is not UTF-8 is refused', async () => {
  const pages = await pair()
  await put(pages[0], begin(50, 2, { binary: false }), [0, 0, 0, 50, 0xc3, 0x28])
  await seen(pages[1], 'error', { code: 'bad-message' })
  await close(pages)
})

test('messages begun and never ended are bounded by number and by bytes', async () => {
  const pages = await pair({ maxMessageBytes: 1024 * 1024 })
  await put(pages[0], ...Array.from({ length: 9 }, (_, i) => begin(50 + i, 1000)))
  await until(pages[1], () => globalThis.events.filter(({ type, code }) => type === 'error' && code === 'too-many').length === 1)
  await put(pages[0], ...Array.from({ length: 8 }, (_, i) => JSON.stringify({ type: 'cancel', stream: 50 + i })))
  await put(pages[0], begin(70, 1024 * 1024), begin(71, 1024 * 1024), begin(72, 1))
  await until(pages[1], () => globalThis.events.filter(({ type, code }) => type === 'error' && code === 'too-many').length === 2)
  await put(pages[0], JSON.stringify({ type: 'cancel', stream: 70 }), JSON.stringify({ type: 'cancel', stream: 71 }))
  await pages[0].evaluate(() => globalThis.room.send('x').done)
  await close(pages)
})

test('a message repeated is told once', async () => {
  const pages = await pair()
  const text = JSON.stringify({ type: 'text', id: 'again', text: 'x', at: 1e300 })
  await put(pages[0], text, text)
  await pages[0].evaluate(() => globalThis.room.send('fence').done)
  const messages = await events(pages[1], 'message')
  assert.deepEqual(messages.map(({ data }) => data), ['x', 'fence'])
  assert.equal(messages[0].sentAt, null, 'a time that is none is no time')
  await close(pages)
})

test('a member whose negotiation is nonsense disturbs nobody', async () => {
  const pages = await pair()
  const [ann, bob] = pages
  const mallory = await openBlank(browser, server.url)
  await mallory.evaluate(async ([url, room, victim]) => {
    const socket = globalThis.socket = new WebSocket(`${url.replace('http', 'ws')}/ws`)
    await new Promise(resolve => { socket.onopen = resolve })
    socket.send(JSON.stringify({ type: 'hello', v: 1, name: 'Mallory' }))
    socket.send(JSON.stringify({ type: 'join', room }))
    await new Promise(resolve => { socket.onmessage = ({ data }) => { if (JSON.parse(data).type === 'joined') resolve() } })
    const junk = [null, 5, 'x', [], {}, { sdp: 5 }, { type: 'offer', sdp: 'v=nonsense' }, { candidate: 5 }, { candidate: 'candidate:nonsense', sdpMid: 'nowhere' }, { link: {}, sdp: '' }]
    for (const type of ['offer', 'answer', 'candidate']) for (const data of junk) socket.send(JSON.stringify({ type, to: victim, data }))
  }, [server.url, await roomOf(ann), await ann.evaluate(() => globalThis.room.self.id)])
  await seen(ann, 'error', { code: 'negotiation' }, { count: 10 })
  await ann.evaluate(() => { for (const peer of globalThis.room.peers.values()) if (peer.name !== 'Mallory') globalThis.waiting = peer.send('undisturbed') })
  await seen(bob, 'message', { data: 'undisturbed' })
  await ann.evaluate(() => globalThis.waiting.done)
  assert.deepEqual((await events(bob, 'error')), [])
  await close([...pages, mallory])
})

// Messages larger than one SCTP message: whole, fair, bounded.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connected, events, idOf, joinPage, launch, roomOf, seen, until } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server, browser
before(async () => { [server, browser] = await Promise.all([startServer(), launch()]) })
after(async () => { await browser?.close(); await server?.stop() })

const close = pages => Promise.all(pages.map(page => page.context().close()))

async function pair(options = {}, other = options) {
  const ann = await joinPage(browser, server.url, null, options)
  const bob = await joinPage(browser, server.url, await roomOf(ann), other)
  await Promise.all([connected(ann), connected(bob)])
  return [ann, bob]
}

/** Sends `bytes` bytes that differ everywhere, and gives their digest. */
const sendBytes = (page, bytes, as, remark) => page.evaluate(async ([bytes, as, remark]) => {
  const words = Uint32Array.from({ length: bytes / 4 }, (_, i) => i * 2_654_435_761)
  const data = { buffer: words.buffer, view: words, blob: new Blob([words]) }[as]
  globalThis.progress = []
  globalThis.sent = globalThis.room.send(data, { onProgress: (sent, total) => {
    if (globalThis.progress.length === 0 && remark) globalThis.room.send(remark)
    globalThis.progress.push([sent, total])
  } })
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', words))].map(byte => byte.toString(16).padStart(2, '0')).join('')
}, [bytes, as, remark])

const digestOfFirst = page => page.evaluate(async () => {
  const data = globalThis.whole.find(data => typeof data !== 'string')
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', data))].map(byte => byte.toString(16).padStart(2, '0')).join('')
})

for (const as of ['buffer', 'view', 'blob']) {
  test(`10 MB go both ways at once (${as}), and a short text overtakes them`, async () => {
    const pages = await pair()
    const bytes = 10 * 1024 * 1024
    const digests = await Promise.all(pages.map(page => sendBytes(page, bytes, as, 'in between')))
    await Promise.all(pages.map(page => seen(page, 'message', { binary: true })))
    for (const [own, other] of [[0, 1], [1, 0]]) {
      assert.equal(await digestOfFirst(pages[own]), digests[other])
      assert.deepEqual((await events(pages[own], 'message')).map(({ binary, size }) => [binary, size]), [[false, 10], [true, bytes]])
      const received = await events(pages[own], 'progress')
      assert.deepEqual([received.at(-1).received, received.at(-1).total], [bytes, bytes])
      await pages[own].evaluate(() => globalThis.sent.done)
      const sent = await pages[own].evaluate(() => globalThis.progress)
      assert.deepEqual(sent.at(-1), [bytes, bytes])
      assert.ok(sent.every(([now], i) => i === 0 || now >= sent[i - 1][0]), 'progress goes forward')
      assert.deepEqual(await events(pages[own], 'error'), [])
    }
    await close(pages)
  })
}

test('what waits to be sent waits here, not in the browser', async () => {
  const pages = await pair()
  const highest = await pages[0].evaluate(async () => {
    const [peer] = globalThis.room.peers.values()
    let highest = 0
    const watch = () => { highest = Math.max(highest, peer.channel.bufferedAmount) }
    const watching = setInterval(watch, 1)
    await globalThis.room.send(new Uint8Array(10 * 1024 * 1024), { onProgress: watch }).done
    clearInterval(watching)
    return highest
  })
  assert.ok(highest > 0 && highest <= 300 * 1024, `${highest} bytes`)
  await close(pages)
})

test('a later small file is not held up by an earlier large one', async () => {
  const pages = await pair()
  await pages[0].evaluate(() => {
    globalThis.room.send(new Uint8Array(12 * 1024 * 1024))
    globalThis.room.send(new Uint8Array(100 * 1024))
  })
  await seen(pages[1], 'message', { binary: true }, { count: 2 })
  assert.deepEqual((await events(pages[1], 'message')).map(({ size }) => size), [100 * 1024, 12 * 1024 * 1024])
  await close(pages)
})

test('a long text arrives as it was, and texts keep their order', async () => {
  const pages = await pair()
  await pages[0].evaluate(() => {
    globalThis.text = '\ufeffдоброе утро 🌅\u0000'.repeat(60_000)
    globalThis.room.send(globalThis.text)
  })
  await seen(pages[1], 'message', { binary: false })
  assert.equal(await pages[1].evaluate(() => globalThis.whole[0]), await pages[0].evaluate(() => globalThis.text))
  await pages[0].evaluate(() => { for (let i = 0; i < 500; i++) globalThis.room.send(`${i}`) })
  await seen(pages[1], 'message', {}, { count: 501 })
  assert.deepEqual((await events(pages[1], 'message')).slice(1).map(({ data }) => data), Array.from({ length: 500 }, (_, i) => `${i}`))
  await close(pages)
})

test('empty messages arrive', async () => {
  const pages = await pair()
  await pages[0].evaluate(() => Promise.all(['', new ArrayBuffer(0), new Blob([])].map(data => globalThis.room.send(data).done)))
  assert.deepEqual((await events(pages[1], 'message')).map(({ binary, size }) => [binary, size]), [[false, 0], [true, 0], [true, 0]])
  await close(pages)
})

test('a message that the recipient does not take is refused clearly, and the next one arrives', async () => {
  const pages = await pair({}, { maxMessageBytes: 1024 * 1024 })
  const [ann, bob] = pages
  await ann.evaluate(() => globalThis.room.send(new Uint8Array(1024 * 1024 + 1)).done)
  const [error] = await seen(ann, 'error', { code: 'too-large' })
  assert.match(error.message, /at most 1048576 bytes; this message has 1048577/)
  await seen(ann, 'delivery', { to: await idOf(bob), state: 'failed' })
  await ann.evaluate(() => globalThis.room.send(new Uint8Array(1024 * 1024)).done)
  await seen(bob, 'message', { size: 1024 * 1024 })
  assert.deepEqual(await events(bob, 'error'), [])
  await close(pages)
})

test('many large messages at once all arrive', async () => {
  const pages = await pair({ maxMessageBytes: 1024 * 1024 })
  await pages[0].evaluate(() => Promise.all(Array.from({ length: 30 }, (_, i) => globalThis.room.send(new Uint8Array(900_000 + i)).done)))
  assert.deepEqual((await events(pages[1], 'message')).map(({ size }) => size).sort(), Array.from({ length: 30 }, (_, i) => 900_000 + i))
  assert.deepEqual(await events(pages[0], 'error'), [])
  await close(pages)
})

test('too much at once is refused here, and what was taken arrives', async () => {
  const ann = await joinPage(browser, server.url, null)
  await ann.evaluate(() => globalThis.room.on('peer', ({ peer }) => { for (let i = 0; i < 1100; i++) peer.send(`${i}`) }))
  const bob = await joinPage(browser, server.url, await roomOf(ann))
  await seen(bob, 'message', {}, { count: 1024 })
  assert.equal((await events(ann, 'error')).filter(({ code }) => code === 'queue-full').length, 76)
  await until(ann, () => globalThis.events.filter(({ type, state }) => type === 'delivery' && state === 'delivered').length === 1024)
  await close([ann, bob])
})

test('a large message is carried on by the next connection', async () => {
  const pages = await pair()
  const digest = await sendBytes(pages[0], 10 * 1024 * 1024, 'blob')
  await seen(pages[1], 'progress')
  await pages[0].evaluate(() => { [...globalThis.room.peers.values()][0].connection.close() })
  await pages[0].evaluate(() => globalThis.sent.done)
  assert.equal(await digestOfFirst(pages[1]), digest)
  assert.equal((await events(pages[1], 'message')).length, 1)
  await close(pages)
})

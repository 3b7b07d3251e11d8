// Tracks that the application adds to the raw connection: the module negotiates them.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connected, events, joinPage, launch, roomOf, seen, until } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server, browser
before(async () => { [server, browser] = await Promise.all([startServer(), launch()]) })
after(async () => { await browser?.close(); await server?.stop() })

const close = pages => Promise.all(pages.map(page => page.context().close()))

async function pair() {
  const ann = await joinPage(browser, server.url, null)
  const bob = await joinPage(browser, server.url, await roomOf(ann))
  await Promise.all([connected(ann), connected(bob)])
  return [ann, bob]
}

/** A picture that changes: the server's own pages may not use the camera. */
const addPicture = page => page.evaluate(() => {
  const canvas = document.createElement('canvas')
  let frame = 0
  setInterval(() => canvas.getContext('2d').fillText(`${frame++}`, 10, 10), 50)
  const stream = canvas.captureStream(20)
  const [peer] = globalThis.room.peers.values()
  globalThis.sender = peer.connection.addTrack(stream.getVideoTracks()[0], stream)
})

/** Waits until frames of a video have been decoded. */
const watched = page => until(page, async () => {
  const stats = await [...globalThis.room.peers.values()][0].connection.getStats()
  return [...stats.values()].some(report => report.type === 'inbound-rtp' && report.framesDecoded > 0)
})

test('a picture added by one is seen by the other, and taken away again', async () => {
  const pages = await pair()
  const [ann, bob] = pages
  await addPicture(ann)
  await seen(bob, 'track', { kind: 'video' })
  await watched(bob)
  await ann.evaluate(() => { [...globalThis.room.peers.values()][0].connection.removeTrack(globalThis.sender) })
  await until(bob, () => [...globalThis.room.peers.values()][0].connection.getTransceivers()[0].currentDirection === 'inactive')
  await ann.evaluate(() => globalThis.room.send('the channel stayed').done)
  for (const page of pages) {
    assert.deepEqual((await events(page, 'peerstate')).map(({ state }) => state), ['open'])
    assert.deepEqual(await events(page, 'error'), [])
  }
  await close(pages)
})

test('both add a picture at once', async () => {
  const pages = await pair()
  await Promise.all(pages.map(addPicture))
  await Promise.all(pages.map(page => seen(page, 'track', { kind: 'video' })))
  await Promise.all(pages.map(watched))
  for (const page of pages) {
    assert.deepEqual(await events(page, 'error'), [])
    assert.deepEqual((await events(page, 'peerstate')).map(({ state }) => state), ['open'])
  }
  await close(pages)
})

test('tracks added when the connection is made are part of its first offer', async () => {
  const ann = await joinPage(browser, server.url, null)
  await ann.evaluate(async () => {
    const stream = new AudioContext().createMediaStreamDestination().stream
    globalThis.room.on('connection', ({ connection }) => { connection.addTrack(stream.getAudioTracks()[0], stream) })
  })
  const bob = await joinPage(browser, server.url, await roomOf(ann))
  await seen(bob, 'track', { kind: 'audio' })
  await Promise.all([connected(ann), connected(bob)])
  assert.equal((await events(ann, 'step')).filter(({ kind }) => kind === 'offer-sent').length, 1)
  await close([ann, bob])
})

test('tracks of the one who waits for the offer come too', async () => {
  const ann = await joinPage(browser, server.url, null, { offerer: 'newcomer' })
  await ann.evaluate(async () => {
    const stream = new AudioContext().createMediaStreamDestination().stream
    globalThis.room.on('connection', ({ connection }) => { connection.addTrack(stream.getAudioTracks()[0], stream) })
  })
  const bob = await joinPage(browser, server.url, await roomOf(ann), { offerer: 'newcomer' })
  await seen(bob, 'track', { kind: 'audio' })
  await Promise.all([connected(ann), connected(bob)])
  assert.deepEqual(await events(ann, 'error'), [])
  await close([ann, bob])
})

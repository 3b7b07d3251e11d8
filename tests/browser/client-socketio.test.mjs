// A page of the rooms sample (Socket.IO, a plain text channel, a new connection for each offer) and ours in one room.
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { connected, events, joinPage, launch, openBlank, roomOf, seen, until } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server, browser
before(async () => { [server, browser] = await Promise.all([startServer(), launch()]) })
after(async () => { await browser?.close(); await server?.stop() })

const close = pages => Promise.all(pages.map(page => page.context().close()))

/** Opens a page that behaves as the sample's, and enters a room with it; null for a new one. */
async function sample(room) {
  const page = await openBlank(browser, server.url)
  await page.addInitScript({ path: path.join(import.meta.dirname, '../node_modules/socket.io-client-4/dist/socket.io.min.js') })
  await page.reload()
  await page.evaluate(behave, room)
  return page
}

/**
 * In the page: the protocol of the sample, with its habits; but it says nothing before it has heard something, for
 * Chromium may lose what is sent on a channel of the peer's the moment it is announced.
 */
async function behave(room) {
  const connections = new Map()
  globalThis.heard = []
  globalThis.faults = []
  globalThis.channels = []
  const socket = globalThis.socket = globalThis.io()
  const connect = id => {
    connections.get(id)?.close()
    const connection = new RTCPeerConnection()
    connections.set(id, connection)
    connection.onicecandidate = ({ candidate }) => { if (candidate !== null) socket.emit('ice-candidate', id, candidate) }
    return connection
  }
  const use = channel => {
    globalThis.channels.push(channel.label)
    channel.onmessage = ({ data }) => globalThis.heard.push(data)
    channel.onclose = () => globalThis.heard.push('(closed)')
    globalThis.say = text => channel.send(text)
  }
  socket.on('new-user-joined', async id => {
    const connection = connect(id)
    use(connection.createDataChannel('my-rtc-chat'))
    const offer = await connection.createOffer()
    await connection.setLocalDescription(offer)
    socket.emit('rtc-offer', id, offer)
  })
  socket.on('rtc-offer', async (id, offer) => {
    const connection = connect(id)
    connection.ondatachannel = ({ channel }) => use(channel)
    await connection.setRemoteDescription(offer)
    const answer = await connection.createAnswer()
    await connection.setLocalDescription(answer)
    socket.emit('rtc-answer', id, answer)
  })
  socket.on('rtc-answer', (id, answer) => connections.get(id).setRemoteDescription(answer))
  socket.on('ice-candidate', (id, candidate) => {
    const connection = connections.get(id)
    if (connection) connection.addIceCandidate(candidate).catch(error => globalThis.faults.push(error.message))
    else globalThis.faults.push('a candidate before the offer')
  })
  socket.on('user-disconnected', id => globalThis.heard.push('(gone)') && connections.get(id)?.close())
  await new Promise(resolve => socket.on('connect', resolve))
  if (room === null) {
    globalThis.made = new Promise(resolve => socket.on('room-created', resolve))
    socket.emit('create-room')
    await globalThis.made
  } else socket.emit('join-room', room)
}

/** A text each way, and nothing that went wrong. */
async function talk(ours, theirs) {
  await ours.evaluate(() => globalThis.room.send('Hi from ours!').done)
  await until(theirs, () => globalThis.heard.includes('Hi from ours!'))
  await theirs.evaluate(() => globalThis.say('Hi from the sample!'))
  await seen(ours, 'message', { data: 'Hi from the sample!' })
  await theirs.evaluate(() => globalThis.say('and again'))
  await seen(ours, 'message', { data: 'and again', sentAt: null })
  assert.deepEqual(await theirs.evaluate(() => globalThis.faults), [])
  assert.deepEqual(await theirs.evaluate(() => globalThis.channels), ['my-rtc-chat'])
  assert.deepEqual(await events(ours, 'error'), [])
  assert.deepEqual(await theirs.evaluate(() => globalThis.heard), ['Hi from ours!'])
  assert.deepEqual(await ours.evaluate(() => [...globalThis.room.peers.values()].map(({ dialect }) => dialect)), ['socket.io'])
}

test('the sample comes to us', async () => {
  const ours = await joinPage(browser, server.url, null)
  const theirs = await sample(await roomOf(ours))
  await connected(ours)
  await talk(ours, theirs)
  await close([ours, theirs])
})

test('we come to the sample', async () => {
  const theirs = await sample(null)
  const ours = await joinPage(browser, server.url, await theirs.evaluate(() => globalThis.made), { offerer: 'newcomer' })
  await connected(ours)
  await talk(ours, theirs)
  await close([ours, theirs])
})

test('its page is closed: told once', async () => {
  const ours = await joinPage(browser, server.url, null)
  const theirs = await sample(await roomOf(ours))
  await connected(ours)
  await theirs.close()
  await seen(ours, 'peerleft', {}, { within: 1000 })
  assert.equal((await events(ours, 'peerleft')).length, 1)
  await close([ours])
})

test('our page is closed: its page hears of it', async () => {
  const ours = await joinPage(browser, server.url, null)
  const theirs = await sample(await roomOf(ours))
  await connected(ours)
  await ours.close()
  await until(theirs, () => globalThis.heard.includes('(gone)') || globalThis.heard.includes('(closed)'), null, 1500)
  await close([theirs])
})

test('a connection that broke is made anew, not renegotiated', async () => {
  const ours = await joinPage(browser, server.url, null)
  const theirs = await sample(await roomOf(ours))
  await connected(ours)
  await ours.evaluate(() => { [...globalThis.room.peers.values()][0].connection.addTransceiver('audio') })
  await seen(ours, 'step', { kind: 'offer-withheld' })
  await ours.evaluate(() => { [...globalThis.room.peers.values()][0].connection.close() })
  await until(theirs, () => globalThis.channels.length === 2)
  await connected(ours)
  await ours.evaluate(() => globalThis.room.send('over the second').done)
  await until(theirs, () => globalThis.heard.includes('over the second'))
  assert.deepEqual(await theirs.evaluate(() => globalThis.faults), [])
  assert.deepEqual(await events(ours, 'peerleft'), [])
  await close([ours, theirs])
})

test('what waits for it is bounded in bytes', async () => {
  const ours = await joinPage(browser, server.url, null)
  // Sent before it is connected, so that everything waits.
  const flooded = ours.evaluate(() => new Promise(resolve => {
    const text = 'x'.repeat(200_000)
    const off = globalThis.room.on('peer', () => {
      off()
      const sent = Array.from({ length: 40 }, () => globalThis.room.send(text))
      void Promise.allSettled(sent.map(({ done }) => done)).then(() => resolve(sent.map(({ to }) => [...to.values()][0])))
    })
  }))
  const theirs = await sample(await roomOf(ours))
  const outcome = await flooded
  // 4 MiB are 20 of them.
  assert.equal(outcome.filter(state => state === 'sent').length, 20, outcome.join(' '))
  assert.equal(outcome.filter(state => state === 'failed').length, 20, outcome.join(' '))
  await until(ours, () => globalThis.events.filter(({ type, code }) => type === 'error' && code === 'queue-full').length === 20)
  await close([ours, theirs])
})

test('what it cannot take fails clearly', async () => {
  const ours = await joinPage(browser, server.url, null)
  const theirs = await sample(await roomOf(ours))
  await connected(ours)
  await ours.evaluate(() => globalThis.room.send(new Uint8Array(4)).done)
  await seen(ours, 'error', { code: 'text-only' })
  await seen(ours, 'delivery', { state: 'failed' })
  await close([ours, theirs])
})

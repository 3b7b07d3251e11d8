// Pages that reach each other through the server's relay alone, with the credentials that the server gives each page.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import { connected, events, join, openBlank, PATIENCE_MS, roomOf, seen, until } from './support/browser.mjs'
import { launchFox, launchTrusting, SECRET, startRelay } from './support/relay.mjs'

const WAYS = { udp: /^turn:.*transport=udp$/, tcp: /^turn:.*transport=tcp$/, tls: /^turns:/ }

let server, browser, firefox
before(async () => {
  server = await startRelay();
  [browser, firefox] = await Promise.all([launchTrusting(server), launchFox()])
})
after(async () => { await Promise.all([browser?.close(), firefox?.close()]); await server?.stop() })

/** In the page: leaves of the ICE servers that the page got the URLs of one way. */
function takeOnly(source) {
  const pattern = new RegExp(source)
  const narrow = config => ({ ...config, iceServers: config.iceServers.map(server => ({ ...server, urls: [server.urls].flat().filter(url => pattern.test(url)) })).filter(({ urls }) => urls.length > 0) })
  const Real = globalThis.RTCPeerConnection
  globalThis.RTCPeerConnection = class extends Real {
    constructor(config) { super(narrow(config)) }
    setConfiguration(config) { super.setConfiguration(narrow(config)) }
  }
}

/** A page of either browser with the same few methods, in a room by relays alone. */
async function member(kind, room, way) {
  const path = () => [...globalThis.room.peers.values()][0].path()
  if (kind === 'Chromium') {
    const page = await openBlank(browser, server.url)
    await page.evaluate(takeOnly, WAYS[way].source)
    await join(page, room, { relayOnly: true })
    return {
      room: await roomOf(page), path: () => page.evaluate(path), open: () => connected(page),
      say: text => page.evaluate(text => globalThis.room.send(text).done, text), hear: data => seen(page, 'message', { data }), close: () => page.context().close(),
    }
  }
  const page = await firefox.newPage()
  await page.goto(`${server.named}/an-empty-page`)
  await page.evaluate(takeOnly, WAYS[way].source)
  await page.evaluate(async room => {
    const { join } = await import('/switchboard.js')
    globalThis.heard = []
    globalThis.room = await join(room, { relayOnly: true })
    globalThis.room.on('message', ({ data }) => globalThis.heard.push(data))
  }, room)
  const until = (check, argument) => page.waitForFunction(check, { polling: 20, timeout: PATIENCE_MS }, argument)
  return {
    room: await page.evaluate(() => globalThis.room.id), path: () => page.evaluate(path),
    open: () => until(() => [...globalThis.room.peers.values()].some(({ state }) => state === 'open')),
    say: text => page.evaluate(text => globalThis.room.send(text).done, text), hear: data => until(data => globalThis.heard.includes(data), data), close: () => page.close(),
  }
}

const pairs = [['Chromium', 'Chromium'], ['Firefox', 'Firefox'], ['Chromium', 'Firefox']]
for (const way of Object.keys(WAYS)) for (const [first, second] of pairs) {
  test(`${first} and ${second} talk through the relay, reached over ${way.toUpperCase()}`, async () => {
    const ann = await member(first, null, way)
    const bob = await member(second, ann.room, way)
    await Promise.all([ann.open(), bob.open()])
    await Promise.all([ann.say('from ann'), bob.say('from bob')])
    await Promise.all([ann.hear('from bob'), bob.hear('from ann')])
    for (const { path } of [ann, bob]) {
      const { kind, local, remote, relayProtocol } = await path()
      assert.deepEqual([kind, local, remote, relayProtocol], ['relayed', 'relay', 'relay', way])
    }
    await Promise.all([ann.close(), bob.close()])
  })
}

/** What a search for relays alone finds with these credentials. */
const search = (page, servers) => page.evaluate(async iceServers => {
  const connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' })
  const found = { candidates: 0, errors: [] }
  const over = new Promise(resolve => { connection.onicegatheringstatechange = () => { if (connection.iceGatheringState === 'complete') resolve() } })
  connection.onicecandidate = ({ candidate }) => { if (candidate?.candidate) found.candidates++ }
  connection.onicecandidateerror = ({ errorCode }) => found.errors.push(errorCode)
  connection.createDataChannel('probe')
  await connection.setLocalDescription()
  await over
  connection.close()
  return found
}, servers)

test('expired and forged credentials are refused, and those of the page and of the secret taken', async () => {
  const page = await openBlank(browser, server.url)
  await page.evaluate(() => {
    const Real = globalThis.RTCPeerConnection
    globalThis.RTCPeerConnection = class extends Real { constructor(config) { super(config); globalThis.given = config.iceServers } }
  })
  await join(page, null)
  const other = await openBlank(browser, server.url)
  await join(other, await roomOf(page))
  const given = await until(page, () => globalThis.given)
  const relays = given.filter(({ username }) => username)
  assert.ok(relays.length > 0, JSON.stringify(given))
  const made = seconds => {
    const username = `${Math.round(Date.now() / 1000) + seconds}:somebody`
    return relays.map(({ urls }) => ({ urls, username, credential: createHmac('sha1', SECRET).update(username).digest('base64') }))
  }
  const forged = relays.map(server => ({ ...server, credential: Buffer.alloc(20, 7).toString('base64') }))
  const prolonged = relays.map(server => ({ ...server, username: server.username.replace(/^\d+/, expiry => Number(expiry) + 3600) }))
  for (const servers of [relays, made(60)]) assert.ok((await search(page, servers)).candidates > 0)
  for (const [what, servers] of Object.entries({ expired: made(-5), forged, prolonged })) {
    const { candidates, errors } = await search(page, servers)
    assert.equal(candidates, 0, what)
    assert.ok(errors.includes(401), `${what}: ${errors}`)
  }
  await Promise.all([page, other].map(page => page.context().close()))
})

/** All that a page tells others about where it is reached. */
function told(page) {
  const lines = []
  page.on('websocket', socket => socket.on('framesent', ({ payload }) => {
    const { type, data } = JSON.parse(payload)
    if (type === 'candidate' && data.candidate) lines.push(data.candidate)
    if (data?.sdp) lines.push(...data.sdp.split('\r\n').filter(line => /^(a=candidate|c=|a=rtcp:)/.test(line)))
  }))
  return lines
}

const discreet = line => /^(a=)?candidate:.* typ relay raddr 0\.0\.0\.0 rport 9\b/.test(line) || /IN IP4 0\.0\.0\.0$/.test(line)

test('who hides the address tells no other candidate, neither first nor after ICE begins anew', async () => {
  const ann = await openBlank(browser, server.url)
  const lines = told(ann)
  await join(ann, null, { relayOnly: true })
  const bob = await openBlank(browser, server.url)
  await join(bob, await roomOf(ann))
  await Promise.all([connected(ann), connected(bob)])
  await ann.evaluate(() => [...globalThis.room.peers.values()][0].connection.restartIce())
  const offers = page => page.evaluate(() => globalThis.events.filter(({ kind }) => kind === 'offer-sent').length)
  await until(ann, () => [...globalThis.room.peers.values()][0].connection.signalingState === 'stable' && globalThis.events.filter(({ kind }) => kind === 'candidate-sent').length > 2)
  assert.ok(await offers(ann) >= 1)
  assert.ok(lines.filter(line => line.includes('typ relay')).length >= 2, lines.join('\n'))
  assert.deepEqual(lines.filter(line => !discreet(line)), [])
  assert.equal((await bob.evaluate(() => [...globalThis.room.peers.values()][0].path())).remote, 'relay')
  await Promise.all([ann, bob].map(page => page.context().close()))
})

test('hiding the address in the middle of a conversation moves it to the relay, and showing it moves it back', async () => {
  const ann = await openBlank(browser, server.url)
  const lines = told(ann)
  await join(ann, null)
  const bob = await openBlank(browser, server.url)
  await join(bob, await roomOf(ann))
  await Promise.all([connected(ann), connected(bob)])
  const local = wanted => until(ann, async wanted => (await [...globalThis.room.peers.values()][0].path())?.local === wanted, wanted)
  await local('host')
  assert.notDeepEqual(lines.filter(line => !discreet(line)), [], 'the test must see what it looks for')
  lines.length = 0
  await ann.evaluate(() => {
    globalThis.room.relayOnly = true
    globalThis.sending = globalThis.room.send('said meanwhile')
  })
  await local('relay')
  await seen(bob, 'message', { data: 'said meanwhile' })
  await connected(ann)
  assert.equal(await ann.evaluate(() => globalThis.room.relayOnly), true)
  assert.ok(lines.length > 0)
  assert.deepEqual(lines.filter(line => !discreet(line)), [])
  await ann.evaluate(() => { globalThis.room.relayOnly = false })
  await local('host')
  for (const page of [ann, bob]) assert.deepEqual(await events(page, 'peerleft'), [])
  assert.deepEqual(await events(ann, 'error'), [])
  await Promise.all([ann, bob].map(page => page.context().close()))
})

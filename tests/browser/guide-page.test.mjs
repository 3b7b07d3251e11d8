// A page written after the WebRTC guide, with the official Socket.IO client from npm: such pages talk to each other, and
// to ours, through this server. The page is of another origin, as a page that people host elsewhere is.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { connected, heard, say, visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

const PACKAGE = path.dirname(createRequire(import.meta.url).resolve('socket.io-client-4/package.json'))
const CLIENT = fs.readFileSync(path.join(PACKAGE, 'dist/socket.io.min.js'))

/** The guide's flow: whoever is there offers to whoever comes. `links` and `heard` are what the tests look at. */
function guide() {
  const connections = new Map()
  const links = globalThis.links = new Map()
  globalThis.heard = []
  globalThis.gone = []
  const socket = globalThis.socket = globalThis.io(new URLSearchParams(location.search).get('server'))

  const use = (id, channel) => {
    channel.onopen = () => { links.set(id, channel) }
    channel.onmessage = ({ data }) => { globalThis.heard.push([id, data]) }
    channel.onclose = () => { links.delete(id) }
  }
  const connect = id => {
    const connection = new RTCPeerConnection({ iceServers: [] })
    connections.set(id, connection)
    connection.onicecandidate = ({ candidate }) => {
      if (candidate !== null) socket.emit('ice-candidate', id, candidate)
    }
    return connection
  }

  socket.on('room-created', id => { globalThis.roomId = id })
  socket.on('new-user-joined', async id => {
    const connection = connect(id)
    use(id, connection.createDataChannel('my-rtc-chat'))
    const offer = await connection.createOffer()
    void connection.setLocalDescription(offer)
    socket.emit('rtc-offer', id, offer)
  })
  socket.on('rtc-offer', async (id, offer) => {
    const connection = connect(id)
    void connection.setRemoteDescription(offer)
    connection.ondatachannel = ({ channel }) => use(id, channel)
    const answer = await connection.createAnswer()
    void connection.setLocalDescription(answer)
    socket.emit('rtc-answer', id, answer)
  })
  socket.on('rtc-answer', async (id, answer) => { await connections.get(id).setRemoteDescription(answer) })
  // Deliberately as strict as the guide: a candidate of somebody unknown is an error.
  socket.on('ice-candidate', async (id, candidate) => { await connections.get(id).addIceCandidate(candidate) })
  socket.on('user-disconnected', id => { globalThis.gone.push(id) })

  globalThis.sayToAll = text => { for (const channel of links.values()) channel.send(text) }
  const room = new URLSearchParams(location.search).get('roomId')
  if (room) socket.emit('join-room', room)
  else socket.emit('create-room')
}

let browser
let server
let pages
let origin
before(async () => {
  browser = await launch()
  pages = createServer((request, response) => {
    const script = request.url === '/socket.io.min.js'
    response.setHeader('Content-Type', script ? 'text/javascript' : 'text/html; charset=utf-8')
    response.end(script ? CLIENT : `<!doctype html><title>Guide</title><script src="/socket.io.min.js"></script><script>(${guide})()</script>`)
  })
  pages.listen(0, '127.0.0.1')
  await once(pages, 'listening')
  origin = `http://127.0.0.1:${pages.address().port}`
  server = await startServer(0, ['--origin', origin])
})
after(async () => {
  await browser?.close()
  pages?.close()
  await server?.stop()
})

/** Opens the guide's page; without a room it opens one. */
async function openGuide(room) {
  const context = await browser.newContext()
  const page = await context.newPage()
  const faults = []
  page.on('pageerror', error => faults.push(error.stack))
  await page.goto(`${origin}/?${new URLSearchParams({ server: server.url, ...room && { roomId: room } })}`)
  await page.waitForFunction(() => globalThis.socket.connected)
  return { page, faults, context }
}

const roomOf = async ({ page }) => (await page.waitForFunction(() => globalThis.roomId)).jsonValue()
const linked = ({ page }, count) => page.waitForFunction(count => globalThis.links.size === count, count)
const idOf = ({ page }) => page.evaluate(() => globalThis.socket.id)
const tell = ({ page }, text) => page.evaluate(text => globalThis.sayToAll(text), text)
const hears = ({ page }, from, text) => page.waitForFunction(([from, text]) => globalThis.heard.some(([id, data]) => (!from || id === from) && data.includes(text)), [from, text])

for (const count of [2, 3]) {
  test(`${count} pages made after the guide talk`, async () => {
    const people = [await openGuide()]
    const room = await roomOf(people[0])
    while (people.length < count) people.push(await openGuide(room))
    await Promise.all(people.map(person => linked(person, count - 1)))
    for (const [index, person] of people.entries()) {
      const id = await idOf(person)
      await tell(person, `I am number ${index} 😀`)
      await Promise.all(people.filter(other => other !== person).map(other => hears(other, id, `I am number ${index} 😀`)))
    }
    // Moved from polling to the WebSocket, as the client does by default.
    for (const { page } of people) await page.waitForFunction(() => globalThis.socket.io.engine.transport.name === 'websocket')
    const last = people.pop()
    const id = await idOf(last)
    await last.context.close()
    await Promise.all(people.map(({ page }) => page.waitForFunction(id => globalThis.gone.includes(id), id)))
    for (const { faults } of [...people, last]) assert.deepEqual(faults, [])
    await Promise.all(people.map(({ context }) => context.close()))
  })
}

for (const first of ['guide', 'ours']) {
  test(`a page made after the guide and our page talk in one room, ${first} first`, async () => {
    let theirs
    let ours
    if (first === 'guide') {
      theirs = await openGuide()
      ours = await visit(browser, server.url, { path: `/?roomId=${await roomOf(theirs)}` })
    } else {
      ours = await visit(browser, server.url)
      await ours.page.waitForFunction(() => new URLSearchParams(location.search).get('roomId'))
      theirs = await openGuide(ours.room())
    }
    await Promise.all([connected(ours.page, 1), linked(theirs, 1)])
    await tell(theirs, 'Hello from the guide')
    await heard(ours.page, 'Hello from the guide').waitFor()
    await say(ours.page, 'Hello from the page')
    await hears(theirs, null, 'Hello from the page')
    assert.deepEqual(theirs.faults, [])
    await Promise.all([theirs.context.close(), ours.page.context().close()])
  })
}

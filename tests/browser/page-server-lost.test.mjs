// The server goes away and comes back under an open chat; or it was never there, or has no room.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import WebSocket from 'ws'
import { connected, happened, heard, receipt, say, visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let browser
before(async () => { browser = await launch() })
after(async () => { await browser?.close() })

test('a lost server is said, direct messages go on, and the room heals when it is back', async () => {
  let server = await startServer()
  const ann = await visit(browser, server.url)
  const ben = await visit(browser, server.url, { path: ann.page.url() })
  await Promise.all([connected(ann.page, 1), connected(ben.page, 1)])
  await server.kill()
  for (const { page } of [ann, ben]) {
    await page.getByRole('alert').getByText(/Your messages still go directly .* no delivery guarantees.* others may assume that you have left/).waitFor()
    await page.locator('.lamp[data-tone="warn"]', { hasText: 'Server lost' }).waitFor()
  }
  await say(ann.page, 'still there?')
  await heard(ben.page, 'still there?').waitFor()
  await receipt(ann.page, 'still there?', 'Delivered')
  server = await startServer(server.port)
  for (const { page } of [ann, ben]) {
    await page.locator('.lamp[data-tone="ok"]', { hasText: 'Online' }).waitFor({ timeout: 60_000 })
    await page.getByRole('alert').waitFor({ state: 'detached' })
  }
  const cem = await visit(browser, server.url, { path: ann.page.url() })
  await connected(cem.page, 2)
  await say(cem.page, 'I am new')
  for (const { page } of [ann, ben]) await heard(page, 'I am new').waitFor()
  assert.deepEqual((await happened(ann.page)).filter(line => /left|gone|lost/.test(line)), [])
  for (const { faults } of [ann, ben, cem]) assert.deepEqual(faults.filter(fault => !/^console: .*(WebSocket|ERR_CONNECTION)/.test(fault)), [])
  await Promise.all([ann, ben, cem].map(({ page }) => page.context().close()))
  await server.stop()
})

test('a server that does not answer is said, and asked again until it does', async () => {
  const first = await startServer()
  const port = new URL(first.url).port
  const context = await browser.newContext()
  const page = await context.newPage()
  // The page itself is there; its server is not: sockets are sent to a port where nobody listens.
  await page.addInitScript(() => {
    const Real = WebSocket
    globalThis.WebSocket = class extends Real { constructor(url, ...rest) { super(globalThis.refused === false ? url : 'ws://127.0.0.1:1/ws', ...rest) } }
  })
  await page.route('**/ice', route => route.abort())
  await page.goto(first.url)
  await page.getByRole('heading', { name: 'The server cannot be reached' }).waitFor()
  await page.getByText(/Trying again by itself in \d+ s\./).waitFor()
  await page.evaluate(() => { globalThis.refused = false })
  await page.locator('#page').waitFor({ state: 'visible' })
  assert.equal(new URL(page.url()).port, port)
  await context.close()
  await first.stop()
})

/** Members of a room who only keep their seats. */
async function seat(server, room, count) {
  const members = []
  for (let i = 0; i < count; i++) {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`)
    await once(socket, 'open')
    socket.send(JSON.stringify({ type: 'hello', v: 1, name: `Guest ${i}` }))
    socket.send(JSON.stringify({ type: 'join', room }))
    await new Promise(resolve => socket.on('message', data => { if (JSON.parse(String(data)).type === 'joined') resolve() }))
    members.push(socket)
  }
  return members
}

test('somebody who cannot be reached is told of, with what may be in the way', async () => {
  const server = await startServer()
  const members = await seat(server, 'one-is-mute', 1)
  const { page } = await visit(browser, server.url, { path: '/?roomId=one-is-mute' })
  await page.getByText('Connecting to Guest 0…').waitFor()
  await say(page, 'can you read this?')
  await receipt(page, 'can you read this?', 'Waiting for Guest 0')
  const notice = page.getByRole('alert').filter({ hasText: 'No way to Guest 0 has been found yet.' })
  await notice.waitFor()
  await page.locator('.line-how', { hasText: 'Still connecting: a firewall may be in the way' }).waitFor()
  await notice.getByRole('button', { name: 'Close this notice' }).click()
  members[0].close()
  await page.locator('.line-entry', { hasText: 'Guest 0 left.' }).waitFor()
  await receipt(page, 'can you read this?', 'Not delivered')
  assert.equal(await notice.count(), 0)
  await page.context().close()
  await server.stop()
})

test('a full room is said, with what to do', async () => {
  const server = await startServer()
  const members = await seat(server, 'full-house', 32)
  const { page } = await visit(browser, server.url, { path: '/?roomId=full-house', waitFor: 'nothing' })
  await page.getByRole('heading', { name: 'This room is full' }).waitFor()
  await page.getByRole('button', { name: 'Start a new room' }).waitFor()
  const goer = members.pop()
  goer.close()
  await once(goer, 'close')
  await page.locator('#screen').getByRole('button', { name: 'Try again' }).click()
  await page.locator('#board-count', { hasText: /^32$/ }).waitFor()
  assert.equal(await page.locator('.lines .line').count(), 32)
  await page.getByText('Connecting to Guest 0, Guest 1 and 29 others…').waitFor()
  await page.context().close()
  for (const socket of members) socket.terminate()
  await server.stop()
})

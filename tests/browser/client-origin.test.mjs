// The browser client from a page of another site: two such pages talk if the operator lists the site; from others it is refused.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

/** A site with one page that is not ours and does nothing. */
async function startSite() {
  const site = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8')
    response.end('<!DOCTYPE html><title>A page of another site</title>')
  }).listen(0, '127.0.0.1')
  await once(site, 'listening')
  return { url: `http://127.0.0.1:${site.address().port}`, close: () => site.close() }
}

let browser, listed, stranger, server
before(async () => {
  [browser, listed, stranger] = await Promise.all([launch(), startSite(), startSite()])
  server = await startServer(0, ['--origin', listed.url])
})
after(async () => {
  await browser?.close()
  await server?.stop()
  listed?.close()
  stranger?.close()
})

/** Opens the site and joins a room from there; returns the page, or why that is not to be. */
async function joinFrom(site, room) {
  const page = await (await browser.newContext()).newPage()
  await page.goto(site.url)
  const outcome = await page.evaluate(async ([server, room]) => {
    globalThis.heard = []
    try {
      const { join } = await import(`${server}/switchboard.js`)
      globalThis.room = await join(room)
      globalThis.room.on('message', ({ data }) => globalThis.heard.push(data))
      return 'joined'
    } catch (error) {
      return `refused: ${error.name} ${error.code ?? ''}`
    }
  }, [server.url, room])
  return { page, outcome }
}

test('two pages of a listed site talk with each other', async () => {
  const ann = await joinFrom(listed, null)
  assert.equal(ann.outcome, 'joined')
  const bob = await joinFrom(listed, await ann.page.evaluate(() => globalThis.room.id))
  assert.equal(bob.outcome, 'joined')
  for (const [from, to] of [[ann, bob], [bob, ann]]) {
    await from.page.waitForFunction(() => [...globalThis.room.peers.values()].some(({ state }) => state === 'open'))
    await from.page.evaluate(() => globalThis.room.send('from elsewhere').done)
    await to.page.waitForFunction(() => globalThis.heard.includes('from elsewhere'))
  }
  await Promise.all([ann, bob].map(({ page }) => page.context().close()))
})

test('a page of a site that is not listed does not get in', async () => {
  const { page, outcome } = await joinFrom(stranger, null)
  assert.match(outcome, /^refused: /)
  // Whatever becomes of the module: the server itself refuses the socket.
  const socket = await page.evaluate(url => new Promise(resolve => {
    const socket = new WebSocket(url)
    socket.onopen = () => resolve('open')
    socket.onerror = () => resolve('refused')
  }), `${server.url.replace('http', 'ws')}/ws`)
  assert.equal(socket, 'refused')
  await page.context().close()
})

// What the server says last reaches a page, and the close code after it, in Chromium and in Firefox, also while the page goes on sending.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import puppeteer from 'puppeteer-core'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let browsers
before(async () => {
  const [Chromium, Firefox] = await Promise.all([launch(), puppeteer.launch({
    browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true,
  })])
  browsers = { Chromium, Firefox }
})
after(() => Promise.all(Object.values(browsers ?? {}).map(browser => browser.close())))

/** Where each dialect is, what a page says first, and what it hears last when the server is shut down. */
const DOORS = {
  rooms: { path: '/ws', hello: '{"type":"hello","v":1}', chatter: '{"type":"ping"}', ready: '"welcome"', goodbye: '"shutting-down"', code: 1001 },
  relay: { path: '/relay', hello: '{"type":"subscribe","topic":"t"}', chatter: '{"type":"publish","topic":"t","payload":1}', ready: '"payload":1', code: 1001 },
  socketio: { path: '/socket.io/?EIO=4&transport=websocket', hello: '40', chatter: '42["nothing"]', ready: '40{', code: 1005 },
  matchbox: { path: '/matchbox/room', hello: '"KeepAlive"', chatter: '"KeepAlive"', ready: 'IdAssigned', code: 1001 },
  peerjs: { path: '/peerjs?key=peerjs&id=ann&token=t', hello: '{"type":"HEARTBEAT"}', chatter: '{"type":"HEARTBEAT"}', ready: '"OPEN"', code: 1001 },
}

for (const name of ['Chromium', 'Firefox']) {
  for (const [dialect, door] of Object.entries(DOORS)) {
    test(`${name} reads the last words of ${dialect} and the code`, async () => {
      const server = await startServer()
      const page = await browsers[name].newPage()
      try {
        await page.goto(`${server.url}/an-empty-page`)
        await page.evaluate(({ path, hello, chatter, ready }) => new Promise((resolve, reject) => {
          const socket = new WebSocket(new URL(path, location.href.replace("http", "ws")))
          const heard = []
          globalThis.ended = new Promise(over => {
            socket.onclose = ({ code, wasClean }) => { over({ code, wasClean, heard: heard.slice(-5).join('\n') }); reject(new Error('closed')) }
          })
          // Half of what may be sent without a pause, so that the server always has something to read.
          const talk = () => { if (socket.readyState === WebSocket.OPEN) { socket.send(chatter); setTimeout(talk, 40) } }
          socket.onopen = () => { socket.send(hello); talk() }
          socket.onmessage = ({ data }) => { heard.push(data); if (data.includes(ready)) resolve() }
        }), door)
        await server.stop()
        const { code, wasClean, heard } = await page.evaluate(() => globalThis.ended)
        assert.deepEqual({ code, wasClean }, { code: door.code, wasClean: true })
        assert.ok(heard.includes(door.goodbye ?? ''), heard)
      } finally {
        await page.close()
        await server.stop()
      }
    })
  }
}

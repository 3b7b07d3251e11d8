// What is said goes from browser to browser: not through the page's socket, and from one make of browser to the other.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import puppeteer from 'puppeteer-core'
import { connected, heard, nothingUntoward, receipt, say, visit } from './page-driver.mjs'
import { launch, PATIENCE_MS } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server
let browser
before(async () => {
  browser = await launch()
  server = await startServer(0, ['--admin-listen', '127.0.0.1:0'])
})
after(async () => { await browser?.close(); await server?.stop() })

test('nothing passes the socket while people talk, nor when a file goes', async () => {
  const ann = await visit(browser, server.url, { waitFor: 'nothing' })
  const frames = []
  ann.page.on('websocket', socket => {
    for (const type of ['framesent', 'framereceived']) socket.on(type, ({ payload }) => frames.push(String(payload)))
  })
  await ann.page.reload()
  await ann.page.locator('#page').waitFor({ state: 'visible' })
  const ben = await visit(browser, server.url, { path: ann.page.url() })
  await Promise.all([connected(ann.page, 1), connected(ben.page, 1)])
  const types = () => frames.map(frame => JSON.parse(frame).type)
  assert.ok(types().includes('offer') && types().includes('answer'), types().join(' '))
  // Candidates may still trickle while one talks already; nothing else may.
  const before = frames.length
  for (let i = 0; i < 20; i++) {
    await say(ann.page, `from Ann ${i}.`)
    await say(ben.page, `from Ben ${i}.`)
  }
  await ann.page.locator('#file').setInputFiles({ name: 'plan.bin', mimeType: '', buffer: Buffer.alloc(1_000_000, 7) })
  await ben.page.getByRole('button', { name: 'Save plan.bin' }).waitFor()
  await heard(ann.page, 'from Ben 19.').waitFor()
  await receipt(ann.page, 'from Ann 19.', 'Delivered')
  assert.deepEqual(types().slice(before).filter(type => !['candidate', 'ping', 'pong'].includes(type)), [])
  assert.deepEqual(frames.filter(frame => /from (Ann|Ben)|plan\.bin/.test(frame)), [])
  nothingUntoward(ann, ben)
  await Promise.all([ann, ben].map(({ page }) => page.context().close()))
})

test("the server's byte counters stand still while people talk and a file goes", async () => {
  const ann = await visit(browser, server.url)
  const ben = await visit(browser, server.url, { path: ann.page.url() })
  await Promise.all([connected(ann.page, 1), connected(ben.page, 1)])
  const SIZE = 3_000_000
  const direct = pattern => ann.page.locator('.line-how', { hasText: pattern }).waitFor()
  await direct(/^Direct · UDP/)
  const before = await traffic()
  for (let i = 0; i < 20; i++) {
    await say(ann.page, `Ann's number ${i}: ${'a'.repeat(10_000)}`)
    await say(ben.page, `Ben's number ${i}: ${'b'.repeat(10_000)}`)
  }
  await ann.page.locator('#file').setInputFiles({ name: 'plan.bin', mimeType: '', buffer: Buffer.alloc(SIZE, 7) })
  await ben.page.getByRole('button', { name: 'Save plan.bin' }).waitFor()
  await receipt(ann.page, 'number 19:', 'Delivered')
  await receipt(ben.page, 'number 19:', 'Delivered')
  const after = await traffic()
  // 3.4 MB went from page to page. Heartbeats and late candidates are a few kilobytes, whatever else is said.
  for (const series of Object.keys(before)) {
    assert.ok(after[series] - before[series] < 20_000, `${series} grew by ${after[series] - before[series]} bytes`)
  }
  assert.ok(before['switchboard_read_bytes_total{door="rooms"}'] > 1000, 'nothing is counted at all')
  nothingUntoward(ann, ben)
  await Promise.all([ann, ben].map(({ page }) => page.context().close()))
})

/** The bytes that went through the server's doors so far. */
async function traffic() {
  const series = Object.entries(await server.counters()).filter(([name]) => /_(read|written)_bytes_total/.test(name))
  for (const door of ['http', 'rooms', 'socketio']) {
    assert.equal(series.filter(([name]) => name.includes(`door="${door}"`)).length, 2, series.join(' '))
  }
  return Object.fromEntries(series)
}

test('Chromium and Firefox talk with each other, whoever comes first', async () => {
  const firefox = await puppeteer.launch({
    browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true,
    // Names for local addresses need multicast, which a test machine may lack.
    extraPrefsFirefox: { 'media.peerconnection.ice.obfuscate_host_addresses': false },
  })
  try {
    for (const first of ['Chromium', 'Firefox']) {
      const path = `/?roomId=met-by-${first}`
      const faults = []
      const open = {
        Chromium: () => visit(browser, server.url, { path }),
        async Firefox() {
          const page = await firefox.newPage()
          page.on('pageerror', error => faults.push(String(error)))
          await page.goto(new URL(path, server.url).href)
          await seen(page, () => !document.querySelector('#page').hidden)
          return { page }
        },
      }
      const opened = { [first]: await open[first]() }
      const second = first === 'Chromium' ? 'Firefox' : 'Chromium'
      opened[second] = await open[second]()
      const { Chromium: ann, Firefox: ben } = opened
      await connected(ann.page, 1)
      await seen(ben.page, () => document.querySelector('.line:not(.self)[data-state="open"]') !== null)
      await say(ann.page, 'Hello Firefox')
      await seen(ben.page, () => [...document.querySelectorAll('.theirs .msg-text')].some(node => node.textContent === 'Hello Firefox'))
      await ben.page.focus('#say')
      await ben.page.keyboard.type('Hello Chromium')
      await ben.page.keyboard.press('Enter')
      await heard(ann.page, 'Hello Chromium').waitFor()
      await seen(ben.page, () => document.querySelector('.receipt-text')?.textContent === 'Delivered')
      await ann.page.locator('.line-how', { hasText: /^Direct · UDP/ }).waitFor()
      nothingUntoward(ann)
      assert.deepEqual(faults, [])
      await ben.page.close()
      await ann.page.locator('#board-count', { hasText: /^1$/ }).waitFor()
      await ann.page.context().close()
    }
  } finally {
    await firefox.close()
  }
})

/** Firefox runs no animation frames in pages behind others, so it is asked by the clock. */
const seen = (page, check) => page.waitForFunction(check, { polling: 50, timeout: PATIENCE_MS })

// /diagnostics, as a person uses it: with a relay, without one, and where the browser or the network forbids things.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { nothingUntoward, sideways, visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { freePort } from './support/ports.mjs'
import { launchTrusting, startRelay } from './support/relay.mjs'
import { startServer } from './support/server.mjs'

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** The page's own limits add up to less. */
const BOUND_MS = 60_000

let bare
let relay
let browser
let trusting
before(async () => {
  [bare, relay, browser] = await Promise.all([startServer(0, ['--turn-listen', 'none']), startRelay(), launch()])
  trusting = await launchTrusting(relay)
})
after(async () => { await Promise.all([browser?.close(), trusting?.close(), bare?.stop(), relay?.stop()]) })

const open = (from, url, options = {}) => visit(from, url, { path: '/diagnostics', waitFor: 'nothing', ...options })
const finished = page => page.locator('#copy:not([disabled])').waitFor({ timeout: BOUND_MS })
const sentence = page => page.locator('#verdict').textContent()
const reportOf = page => page.locator('#report').inputValue()
const check = (page, title) => page.locator('.check', { has: page.getByRole('heading', { name: title, exact: true }) })
const toneOf = (page, title) => check(page, title).getAttribute('data-tone')

/** Runs in the page: STUN servers see its connections at 203.0.113.9, each at another port; `silent` is the host of one that does not answer. */
function symmetric(silent) {
  const Real = globalThis.RTCPeerConnection
  globalThis.RTCPeerConnection = class extends Real {
    constructor(config) {
      super({ ...config, iceServers: [] })
      const hosts = (config?.iceServers ?? []).flatMap(({ urls }) => urls).filter(url => /^stun:/.test(url)).map(url => url.split(':')[1])
      this.addEventListener('icegatheringstatechange', event => {
        if (this.iceGatheringState !== 'complete' || this.told) return
        this.told = true
        event.stopImmediatePropagation()
        for (const host of hosts.filter(host => host !== silent)) {
          const port = 40_000 + Number(host.split('.')[3])
          const event = new Event('icecandidate')
          event.candidate = { candidate: `candidate:1 1 udp 1 203.0.113.9 ${port} typ srflx`, type: 'srflx', protocol: 'udp', address: '203.0.113.9', port, relatedAddress: '0.0.0.0', relatedPort: 9 }
          this.dispatchEvent(event)
        }
        this.dispatchEvent(new Event('icegatheringstatechange'))
      })
    }
  }
}

test('without STUN and relay it says so, and what that means', async () => {
  const ann = await open(browser, bare.url)
  const { page } = ann
  await finished(page)
  assert.match(await sentence(page), /names neither STUN nor a relay/)
  assert.equal(await toneOf(page, 'This browser'), 'ok')
  assert.equal(await toneOf(page, 'The server'), 'ok')
  assert.equal(await toneOf(page, 'Relay (TURN)'), 'none')
  assert.match(await check(page, 'This browser').textContent(), /mDNS/)
  assert.match(await reportOf(page), /\[ok\] This browser/)
  nothingUntoward(ann)
  await page.context().close()
})

test('with a relay every path is shown to work, by a message through it', async () => {
  const ann = await open(trusting, relay.url)
  const { page } = ann
  await finished(page)
  const text = await reportOf(page)
  for (const title of ['STUN', 'Relay over UDP', 'Relay over TCP', 'Relay over TLS']) assert.equal(await toneOf(page, title), 'ok', text)
  assert.match(await sentence(page), /^Everything works/)
  assert.match(text, /Relay over TLS \(turns:127\.0\.x\.x:\d+\?transport=tcp\): A message went to it and back in/)
  assert.match(await check(page, 'Relay over UDP').locator('.candidates').textContent(), /relay UDP 127\.0\.x\.x:\d+/)
  assert.match(await check(page, 'How your router maps ports').textContent(), /Cannot be told/)
  nothingUntoward(ann)
  await page.context().close()
})

test('with a second address for NAT detection both are asked, alone and together', async () => {
  const [port, other] = [await freePort(), await freePort()]
  const detecting = await startServer(0, ['--turn-listen', `127.0.0.1:${port}`, '--set', `turn.nat_detection=127.0.0.2:${other}`, '--set', 'turn.relay_addresses=127.0.0.1'])
  // A symmetric router as the page sees one: another port for each server that is asked, and none for the second server once it is silent.
  const behind = async silent => {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.addInitScript(symmetric, silent)
    await page.goto(`${detecting.url}/diagnostics`)
    await finished(page)
    const text = await reportOf(page)
    const asked = await page.locator('.check', { has: page.getByRole('heading', { name: 'STUN', exact: true }) }).locator('.check-url').allTextContents()
    assert.deepEqual(asked, [`stun:127.0.0.1:${port}`, `stun:127.0.0.2:${other}`], text)
    const mapping = await check(page, 'How your router maps ports').textContent()
    await context.close()
    return mapping
  }
  try {
    assert.match(await behind(''), /Another port towards each server/)
    assert.match(await behind('127.0.0.2'), /Cannot be told/)
  } finally {
    await detecting.stop()
  }
})

test('a relay whose certificate the browser does not trust fails over TLS alone', async () => {
  const { page } = await open(browser, relay.url)
  await finished(page)
  assert.equal(await toneOf(page, 'Relay over TLS'), 'bad', await reportOf(page))
  assert.equal(await toneOf(page, 'Relay over TCP'), 'ok', await reportOf(page))
  assert.match(await sentence(page), /only TLS to the relay does not work from here/)
  await page.context().close()
})

test('the report has no credentials, and whole addresses only for who asks', async () => {
  const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] })
  const page = await context.newPage()
  const secrets = new Set()
  page.on('websocket', socket => socket.on('framereceived', ({ payload }) => {
    for (const [, secret] of String(payload).matchAll(/"(?:credential|username|resume)":"([^"]+)"/g)) secrets.add(secret)
  }))
  await page.goto(`${relay.url}/diagnostics`)
  await finished(page)
  assert.ok(secrets.size >= 3, 'the test must see what must not be told')
  for (const whole of [false, true]) {
    await page.locator('#whole').setChecked(whole)
    const text = await reportOf(page)
    for (const secret of secrets) assert.ok(!text.includes(secret), text)
    assert.equal(/relay UDP 127\.0\.0\.1:/.test(text), whole, text)
    assert.equal(/127\.0\.x\.x/.test(text), !whole, text)
  }
  await page.getByRole('button', { name: 'Copy the report' }).click()
  await page.getByRole('button', { name: 'Copied' }).waitFor()
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await reportOf(page))
  await context.close()
})

test('WebRTC that is switched off is told', async () => {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.addInitScript(() => { delete globalThis.RTCPeerConnection })
  await page.goto(`${bare.url}/diagnostics`)
  await finished(page)
  assert.match(await sentence(page), /WebRTC is switched off or missing/)
  assert.equal(await toneOf(page, 'The server'), 'ok')
  await context.close()
})

test('a browser that names no address is told', async () => {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.addInitScript(() => {
    const Real = globalThis.RTCPeerConnection
    // As a policy or an extension does that forbids everything but a proxy.
    globalThis.RTCPeerConnection = class extends Real { constructor(config) { super({ ...config, iceTransportPolicy: 'relay' }) } }
  })
  await page.goto(`${bare.url}/diagnostics`)
  await finished(page)
  assert.match(await sentence(page), /lets no page use its network addresses/)
  await context.close()
})

test('a WebSocket that something in between refuses, or never answers, is told', async () => {
  for (const [means, words] of [[socket => socket.close({ code: 1011 }), /was (?:closed|refused)/], [() => {}, /does not answer over its WebSocket/]]) {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.routeWebSocket(/\/ws$/, means)
    await page.goto(`${bare.url}/diagnostics`)
    await finished(page)
    assert.match(await sentence(page), /is up but its WebSocket does not get through/)
    assert.match(await check(page, 'The server').textContent(), words)
    await context.close()
  }
})

test('it can be run again, by the keyboard', async () => {
  const { page } = await open(browser, bare.url)
  await finished(page)
  const first = await reportOf(page)
  await page.locator('#again').focus()
  await page.keyboard.press('Enter')
  await page.waitForFunction(first => document.querySelector('#report').value !== first && !document.querySelector('#copy').disabled, first)
  await page.context().close()
})

test('the page leads here, and this leads back', async () => {
  const ann = await visit(browser, bare.url)
  await ann.page.locator('#open-about').click()
  const [tab] = await Promise.all([ann.page.context().waitForEvent('page'), ann.page.getByRole('link', { name: 'Test the connection' }).click()])
  await tab.getByRole('heading', { name: 'Connection test' }).waitFor()
  await tab.getByRole('link', { name: 'To the chat' }).click()
  await tab.locator('#page').waitFor({ state: 'visible' })
  nothingUntoward(ann)
  await ann.page.context().close()
})

for (const colorScheme of ['light', 'dark']) for (const width of [1280, 320]) {
  test(`axe finds nothing, ${colorScheme} and ${width} wide, and nothing scrolls sideways`, async () => {
    const { page } = await open(trusting, relay.url, { viewport: { width, height: 700 }, colorScheme, reducedMotion: 'reduce', bypassCSP: true })
    await finished(page)
    await page.evaluate(axe)
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
    assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(', ')}`), [])
    assert.equal(await sideways(page), 0)
    await page.context().close()
  })
}

// Trystero's client finds its peers through our relay of topics, and talks to them directly.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import puppeteer from 'puppeteer-core'
import { PATIENCE_MS, launch, until as untilIn } from '../browser/support/browser.mjs'
import { startServer } from '../browser/support/server.mjs'
import { startSite } from './support/trystero.mjs'

let chromium, firefox, server, site
before(async () => {
  [chromium, firefox, server, site] = await Promise.all([launch(), puppeteer.launch({
    browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true,
    extraPrefsFirefox: {
      // Names for local addresses need multicast, which a test machine may lack.
      'media.peerconnection.ice.obfuscate_host_addresses': false, 'media.peerconnection.ice.loopback': true,
      // Pages behind another keep their pace.
      'dom.min_background_timeout_value': 4, 'dom.timeout.enable_budget_timer_throttling': false,
    },
  }), startServer(), startSite()])
})
after(async () => { await Promise.all([chromium?.close(), firefox?.close(), server?.stop(), site?.stop()]) })

/** Waits until a function is truthy in a page of either browser; their drivers take the arguments in different order. */
const until = (page, check, argument) =>
  page.isFox ? page.waitForFunction(check, { polling: 20, timeout: PATIENCE_MS }, argument) : untilIn(page, check, argument)

const open = {
  Chromium: async () => (await chromium.newContext()).newPage(),
  Firefox: async () => Object.assign(await (await firefox.createBrowserContext()).newPage(), { isFox: true }),
}

/** A page in a browser profile of its own, which has entered a room. */
async function enter(room, { password, relay = server, browser = 'Chromium' } = {}) {
  const page = await open[browser]()
  page.on('pageerror', error => console.error(`page: ${error.stack}`))
  await page.goto(site.url)
  await until(page, () => globalThis.ready)
  await page.evaluate(([url, room, password]) => globalThis.enter(url, room, password), [new URL('/relay', relay.url.replace('http', 'ws')).href, room, password])
  page.id = await page.evaluate(() => globalThis.selfId)
  return page
}

const meets = (page, ...others) => until(page, ids => ids.every(id => globalThis.peers.has(id)), others.map(other => other.id))
const misses = (page, other) => until(page, id => !globalThis.peers.has(id), other.id)
const say = (page, data) => page.evaluate(data => globalThis.chat.send(data), data)
const hears = (page, from, data) => until(page, ([id, data]) => globalThis.heard.some(said => said.from === id && said.data === data), [from.id, data])

for (const [first, second] of [['Chromium', 'Chromium'], ['Firefox', 'Firefox'], ['Firefox', 'Chromium']]) test(`two pages of another site find each other and exchange text and bytes: ${first} and ${second}`, async () => {
  const room = `two-${first}-${second}`
  const [ann, ben] = await Promise.all([enter(room, { browser: first }), enter(room, { browser: second })])
  await Promise.all([meets(ann, ben), meets(ben, ann)])
  await Promise.all([say(ann, 'Hello, Ben.'), say(ben, 'Hello, Ann.')])
  await Promise.all([hears(ben, ann, 'Hello, Ben.'), hears(ann, ben, 'Hello, Ann.')])
  await ann.evaluate(() => globalThis.chat.send(new Uint8Array(1_000_000)))
  await until(ben, id => globalThis.heard.some(said => said.from === id && said.bytes === 1_000_000), ann.id)
  assert.deepEqual(await ann.evaluate(() => globalThis.ignored), [], 'no message was refused')
})

test('three pages make a mesh, other rooms hear nothing, and who leaves is gone', async () => {
  const [ann, ben, eve] = await Promise.all([enter('mesh', { password: 'p' }), enter('mesh', { password: 'p' }), enter('elsewhere')])
  const cat = await enter('mesh', { password: 'p' })
  await Promise.all([meets(ann, ben, cat), meets(ben, ann, cat), meets(cat, ann, ben)])
  await say(cat, 'all')
  await Promise.all([hears(ann, cat, 'all'), hears(ben, cat, 'all')])
  await ben.evaluate(() => globalThis.room.leave())
  await Promise.all([misses(ann, ben), misses(cat, ben)])
  await say(ann, 'still here')
  await hears(cat, ann, 'still here')
  assert.equal(await eve.evaluate(() => globalThis.peers.size), 0)
})

test('who is connected stays so without the server, and newcomers are found when it is back', async () => {
  let own = await startServer()
  const { port } = own
  try {
    const [ann, ben] = await Promise.all([enter('outage', { relay: own }), enter('outage', { relay: own })])
    await Promise.all([meets(ann, ben), meets(ben, ann)])
    await own.kill()
    await say(ann, 'without it')
    await hears(ben, ann, 'without it')
    own = await startServer(port)
    // Who is not back yet misses a newcomer's first announcements, and the next one is a minute later.
    await Promise.all([ann, ben].map(page => until(page, () => globalThis.isBack)))
    const cat = await enter('outage', { relay: own })
    await Promise.all([meets(cat, ann, ben), meets(ann, cat), meets(ben, cat)])
    await say(cat, 'found you')
    await hears(ann, cat, 'found you')
  } finally {
    await own.stop()
  }
})

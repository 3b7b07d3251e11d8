// The browser client in Firefox: with itself, and with Chromium.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import puppeteer from 'puppeteer-core'
import { connected, joinPage, launch, roomOf, seen } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server, browser, firefox
before(async () => {
  [server, browser, firefox] = await Promise.all([startServer(), launch(), puppeteer.launch({
    browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true,
    // Names for local addresses need multicast, which a test machine may lack.
    extraPrefsFirefox: { 'media.peerconnection.ice.obfuscate_host_addresses': false },
  })])
})
after(async () => { await Promise.all([browser?.close(), firefox?.close()]); await server?.stop() })

/** Joins with a page of Firefox. */
async function joinFox(room, options = {}) {
  const page = await firefox.newPage()
  await page.goto(`${server.url}/an-empty-page`)
  await page.evaluate(async (room, options) => {
    const { join } = await import('/switchboard.js')
    globalThis.heard = []
    globalThis.left = []
    globalThis.errors = []
    globalThis.room = await join(room, options)
    globalThis.room.on('message', ({ data }) => globalThis.heard.push(typeof data === 'string' ? data : data.byteLength))
    globalThis.room.on('peerleft', ({ reason }) => globalThis.left.push(reason))
    globalThis.room.on('error', ({ error }) => globalThis.errors.push(`${error.code}: ${error.message}`))
  }, room, options)
  return page
}

// Animation frames, by which Puppeteer watches unless told otherwise, do not come in a tab behind another.
const until = (page, check, argument) => page.waitForFunction(check, { polling: 20, timeout: 20_000 }, argument)
const open = page => until(page, () => [...globalThis.room.peers.values()].some(({ state }) => state === 'open'))
const heard = (page, what) => until(page, what => globalThis.heard.includes(what), what)
const say = (page, text) => page.evaluate(text => globalThis.room.send(text).done, text)

for (const [first, second] of [['members', 'members'], ['members', 'newcomer']]) {
  test(`two pages of Firefox talk (${first} and ${second} offer)`, async () => {
    const ann = await joinFox(null, { offerer: first })
    const bob = await joinFox(await ann.evaluate(() => globalThis.room.id), { offerer: second })
    await Promise.all([open(ann), open(bob)])
    await say(ann, 'from ann')
    await say(bob, 'from bob')
    await Promise.all([heard(ann, 'from bob'), heard(bob, 'from ann')])
    const path = await ann.evaluate(() => [...globalThis.room.peers.values()][0].path())
    assert.equal(path.kind, 'direct')
    assert.deepEqual(await ann.evaluate(() => globalThis.errors), [])
    await bob.close()
    await until(ann, () => globalThis.left.length === 1)
    await ann.close()
  })
}

for (const guest of ['Firefox', 'Chromium']) {
  test(`${guest} comes to the other, and a large message goes each way`, async () => {
    let fox
    let page
    if (guest === 'Firefox') {
      page = await joinPage(browser, server.url, null)
      fox = await joinFox(await roomOf(page))
    } else {
      fox = await joinFox(null)
      page = await joinPage(browser, server.url, await fox.evaluate(() => globalThis.room.id))
    }
    await Promise.all([connected(page), open(fox)])
    await Promise.all([page, fox].map(each => each.evaluate(() => globalThis.room.send(new Uint8Array(2_000_000)).done)))
    await Promise.all([seen(page, 'message', { size: 2_000_000 }), heard(fox, 2_000_000)])
    assert.deepEqual(await fox.evaluate(() => globalThis.errors), [])
    await fox.close()
    await seen(page, 'peerleft', {}, { within: 1500 })
    assert.equal((await page.evaluate(() => globalThis.events.filter(({ type }) => type === 'peerleft'))).length, 1)
    await page.context().close()
  })
}

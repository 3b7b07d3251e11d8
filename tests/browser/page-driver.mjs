// Drives the page as a person would: by its words and its controls. What the tests of the page share.
import assert from 'node:assert/strict'

/**
 * Opens a page in a context of its own (storage, permissions) and notes what must never happen in it: a request to
 * another origin, an error on the console, a dialog that a script would open.
 */
export async function visit(browser, url, { path = '', waitFor = 'room', ...context } = {}) {
  const own = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...context })
  const person = await follow(await own.newPage(), url)
  await person.page.goto(new URL(path, url).href)
  if (waitFor === 'room') await inRoom(person.page)
  return person
}

/** What Chromium says on plain http of a header that counts on https alone. */
const UNTRUSTED = /^The Cross-Origin-Opener-Policy header has been ignored, because the URL's origin was untrustworthy/

/** Watches a page that is opened by hand. */
export async function follow(page, url) {
  const faults = []
  const origin = new URL(url).origin
  const mine = address => ['blob:', 'data:'].includes(new URL(address).protocol) || new URL(address).origin === origin || address.startsWith(origin.replace(/^http/, 'ws'))
  page.on('request', request => { if (!mine(request.url())) faults.push(`request to ${request.url()}`) })
  page.on('websocket', socket => { if (!mine(socket.url())) faults.push(`socket to ${socket.url()}`) })
  page.on('pageerror', error => faults.push(`error: ${error.stack}`))
  page.on('console', message => { if (message.type() === 'error' && !UNTRUSTED.test(message.text())) faults.push(`console: ${message.text()}`) })
  page.on('dialog', dialog => { faults.push(`dialog: ${dialog.message()}`); void dialog.dismiss() })
  return { page, faults, room: () => new URL(page.url()).searchParams.get('roomId') }
}

export const inRoom = page => page.locator('#page').waitFor({ state: 'visible' })

/** Fails if anything happened that must not; what a lost server makes the browser itself complain about may be allowed. */
export function nothingUntoward(...people) {
  for (const { faults } of people) assert.deepEqual(faults, [])
}

export async function say(page, text) {
  await page.locator('#say').fill(text)
  await page.locator('#say').press('Enter')
}

/** The messages that came in, by text. */
export const heard = (page, text) => page.locator('.theirs .msg-text', { hasText: text })

/** One's own message. */
export const said = (page, text) => page.locator('.mine', { hasText: text })

/** Waits until a message of one's own has come so far. */
export const receipt = (page, text, words) => said(page, text).locator('.receipt-text', { hasText: words }).waitFor()

/** Waits until as many others are connected directly. */
export async function connected(page, others) {
  await page.locator('.lines .line:not(.self)[data-state="open"]').nth(others - 1).waitFor({ state: 'attached' })
  assert.equal(await page.locator('.lines .line:not(.self)').count(), others)
}

/** The system lines, in order, without their times. */
export const happened = page => page.locator('.line-entry p').evaluateAll(lines => lines.map(line => [...line.childNodes].filter(node => node.nodeName !== 'TIME').map(node => node.textContent).join('').trim()))

/** Opens a thing of the bar, through the menu where the screen is narrow. */
export async function openFromBar(page, id) {
  const menu = page.locator('#open-menu')
  if (await menu.isVisible()) await menu.click()
  await page.locator(id).click()
}

/** How far the page can be scrolled sideways, which must be nothing. */
export const sideways = page => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

// The page for everybody: axe finds nothing, the keyboard reaches everything, no screen is too narrow.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { connected, heard, openFromBar, say, sideways, visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let server
let browser
before(async () => {
  browser = await launch()
  server = await startServer()
})
after(async () => { await browser?.close(); await server?.stop() })

/** axe needs `eval`, so these contexts alone bypass the page's policy. */
async function violations(page) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(', ')}`)
}

const sizes = { wide: { width: 1280, height: 800 }, narrow: { width: 320, height: 568 } }
const panels = {
  'the chat': async () => {},
  'the people': async page => { if (await page.locator('#open-board').isVisible()) await page.locator('#open-board').click() },
  'the invitation': page => openFromBar(page, '#open-share'),
  'how it works': page => openFromBar(page, '#open-about'),
  'the timeline': page => openFromBar(page, '#open-timeline'),
  'leaving': page => openFromBar(page, '#open-leave'),
}

for (const colorScheme of ['light', 'dark']) for (const [size, viewport] of Object.entries(sizes)) {
  test(`axe finds nothing in any state, ${colorScheme} and ${size}, and nothing scrolls sideways`, async () => {
    const options = { viewport, colorScheme, reducedMotion: 'reduce', bypassCSP: true }
    const ann = await visit(browser, server.url, options)
    assert.deepEqual(await violations(ann.page), [])
    const ben = await visit(browser, server.url, { ...options, path: ann.page.url() })
    await connected(ann.page, 1)
    await say(ben.page, `${'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft'.repeat(3)} https://example.org/${'path'.repeat(60)}`)
    await heard(ann.page, 'Donau').waitFor()
    await say(ann.page, 'مرحبا')
    for (const [name, open] of Object.entries(panels)) {
      await open(ann.page)
      assert.deepEqual(await violations(ann.page), [], name)
      assert.equal(await sideways(ann.page), 0, name)
      await ann.page.keyboard.press('Escape')
    }
    await Promise.all([ann, ben].map(({ page }) => page.context().close()))
  })
}

test('the keyboard alone invites, writes, reads receipts and leaves', async () => {
  const ann = await visit(browser, server.url)
  const { page } = ann
  assert.equal(await page.evaluate(() => document.activeElement.id), 'say')
  await page.keyboard.type('typed at once')
  await page.keyboard.press('Enter')
  await page.locator('.mine').waitFor()
  assert.equal(await page.locator('#page').evaluate(root => root.querySelector('a, button, input, textarea, [tabindex]').className), 'skip')
  await page.locator('.skip').focus()
  const passed = []
  for (let i = 0; i < 30 && passed.at(-1) !== 'send'; i++) {
    await page.keyboard.press('Tab')
    passed.push(await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement)
      if (outlineStyle === 'none' || parseFloat(outlineWidth) < 2) throw new Error(`no visible focus on ${document.activeElement.outerHTML.slice(0, 80)}`)
      return document.activeElement.id || document.activeElement.className
    }))
  }
  const order = ['open-share', 'open-timeline', 'open-about', 'open-leave', 'rename', 'open-privacy', 'scroller', 'receipt-word', 'attach', 'say', 'send']
  assert.deepEqual(passed.filter(id => order.includes(id)), order)
  await page.locator('#open-leave').focus()
  await page.keyboard.press('Enter')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'You have left the room' }).waitFor()
  await page.context().close()
})

test('a dialog gives the focus back to where it was opened', async () => {
  const { page } = await visit(browser, server.url)
  for (const id of ['open-share', 'open-about', 'open-leave', 'rename', 'open-timeline']) {
    await page.locator(`#${id}`).focus()
    await page.keyboard.press('Enter')
    await page.locator('dialog[open]').waitFor()
    assert.equal(await page.evaluate(() => document.activeElement.closest('dialog') !== null), true, id)
    await page.keyboard.press('Escape')
    await page.locator('dialog[open]').waitFor({ state: 'detached' })
    assert.equal(await page.evaluate(() => document.activeElement.id), id)
  }
  await page.context().close()
})

/** What a screen reader is given of a live region: its live property, and all text in it. */
async function liveRegion(page, role) {
  const session = await page.context().newCDPSession(page)
  const { nodes } = await session.send('Accessibility.getFullAXTree')
  await session.detach()
  const byId = new Map(nodes.map(node => [node.nodeId, node]))
  const text = node => node.role?.value === 'StaticText' ? node.name.value : (node.childIds ?? []).map(id => text(byId.get(id) ?? {})).join(' ')
  return nodes.filter(node => node.role?.value === role && !node.ignored)
    .map(node => ({ live: node.properties.find(({ name }) => name === 'live')?.value.value, text: text(node).replace(/\s+/g, ' ') }))
}

test('a screen reader is told of a message and of a departure', async () => {
  const ann = await visit(browser, server.url)
  const ben = await visit(browser, server.url, { path: ann.page.url() })
  await Promise.all([ann, ben].map(({ page }) => connected(page, 1)))
  const name = await ben.page.locator('#self-name').textContent()
  await say(ben.page, 'Can you hear me?')
  await heard(ann.page, 'Can you hear me?').waitFor()
  await ben.page.close()
  await ann.page.locator('.line-entry', { hasText: `${name} left.` }).waitFor()
  const [log, ...others] = await liveRegion(ann.page, 'log')
  assert.deepEqual(others, [])
  assert.equal(log.live, 'polite')
  for (const words of ['Can you hear me?', `${name} left.`]) assert.ok(log.text.includes(words), log.text)
  await Promise.all([ann, ben].map(({ page }) => page.context().close()))
})

test('nothing moves for who asked for less motion', async () => {
  for (const reducedMotion of ['no-preference', 'reduce']) {
    const context = await browser.newContext({ reducedMotion })
    // Each animation and transition begins with one of these.
    await context.addInitScript(() => {
      globalThis.moved = []
      for (const type of ['animationstart', 'transitionrun']) addEventListener(type, event => globalThis.moved.push(`${type} ${event.target.className}`), true)
    })
    const page = await context.newPage()
    await page.goto(server.url)
    await page.locator('#page').waitFor()
    const ben = await visit(browser, server.url, { path: page.url() })
    await connected(page, 1)
    await say(ben.page, 'Keep still')
    await heard(page, 'Keep still').waitFor()
    for (const open of Object.values(panels)) {
      await open(page)
      const running = await page.evaluate(() => document.getAnimations().filter(({ playState }) => playState === 'running').length)
      if (reducedMotion === 'reduce') assert.equal(running, 0)
      await page.keyboard.press('Escape')
    }
    const moved = (await page.evaluate(() => globalThis.moved)).filter(entry => !/ boot$/.test(entry))
    if (reducedMotion === 'reduce') assert.deepEqual(moved, [])
    else assert.ok(moved.length > 0, 'nothing moved at all: this test shows nothing')
    await Promise.all([context.close(), ben.page.context().close()])
  }
})

// Passing the link on, and the timeline: what leaves the page on request, and nothing else.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, test } from 'node:test'
import jsQR from 'jsqr'
import { connected, heard, nothingUntoward, openFromBar, say, visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server
let browser
/** A browser to which the server has a name, as in a network: plain http and not `localhost`, hence no secure context. */
let named
let front
before(async () => {
  [browser, named, server] = await Promise.all([launch(), launch(['--host-resolver-rules=MAP board.test 127.0.0.1']), startServer()])
  front = `http://board.test:${server.port}`
})
after(async () => { await Promise.all([browser?.close(), named?.close(), server?.stop()]) })

test('the link is copied to the clipboard, and said so', async () => {
  const ann = await visit(browser, server.url, { path: '/?roomId=tea-at-eight', permissions: ['clipboard-read', 'clipboard-write'] })
  await openFromBar(ann.page, '#open-share')
  const dialog = ann.page.getByRole('dialog', { name: 'Invite somebody' })
  await dialog.getByRole('button', { name: 'Copy link' }).click()
  await dialog.getByRole('button', { name: 'Copied' }).waitFor()
  assert.equal(await ann.page.evaluate(() => navigator.clipboard.readText()), new URL('/?roomId=tea-at-eight', server.url).href)
  await ann.page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'hidden' })
  nothingUntoward(ann)
  await ann.page.context().close()
})

test('without the clipboard interface, as on plain http in a local network, the link is copied the old way', async () => {
  const ann = await visit(named, front, { path: '/?roomId=tea-at-eight' })
  assert.deepEqual(await ann.page.evaluate(() => [isSecureContext, typeof navigator.clipboard]), [false, 'undefined'])
  await ann.page.evaluate(() => {
    window.copied = null
    document.addEventListener('copy', () => { window.copied = document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd) })
  })
  await ann.page.locator('#invite').getByRole('button', { name: 'Copy link' }).click()
  await ann.page.locator('#invite').getByRole('button', { name: 'Copied' }).waitFor()
  assert.equal(await ann.page.evaluate(() => window.copied), new URL('/?roomId=tea-at-eight', front).href)
  nothingUntoward(ann)
  await ann.page.context().close()
})

test('where the system can share, the link is handed to it', async () => {
  const context = await browser.newContext()
  await context.addInitScript(() => { navigator.share = async what => { window.shared = what } })
  const page = await context.newPage()
  await page.goto(new URL('/?roomId=tea-at-eight', server.url).href)
  await page.locator('#invite').getByRole('button', { name: 'Send…' }).click()
  assert.equal((await page.evaluate(() => window.shared)).url, page.url())
  await context.close()
})

test('the QR code on the screen is the link', async () => {
  const ann = await visit(named, front, { path: '/?roomId=tea-at-eight' })
  const { data, width } = await ann.page.locator('#invite .qr').evaluate(async svg => {
    const size = svg.viewBox.baseVal.width
    const canvas = new OffscreenCanvas(size * 4, size * 4).getContext('2d')
    canvas.fillStyle = getComputedStyle(svg.querySelector('rect')).fill
    canvas.scale(4, 4)
    canvas.fillRect(0, 0, size, size)
    canvas.fillStyle = getComputedStyle(svg.querySelector('path')).fill
    canvas.fill(new Path2D(svg.querySelector('path').getAttribute('d')))
    return { data: [...canvas.getImageData(0, 0, size * 4, size * 4).data], width: size * 4 }
  })
  assert.equal(jsQR(new Uint8ClampedArray(data), width, width)?.data, ann.page.url())
  await ann.page.context().close()
})

test('two talk over plain http under a name, where browsers withhold what secure pages have', async () => {
  const ann = await visit(named, front)
  const ben = await visit(named, front, { path: ann.page.url() })
  await Promise.all([connected(ann.page, 1), connected(ben.page, 1)])
  await say(ann.page, 'Plain as day.')
  await heard(ben.page, 'Plain as day.').waitFor()
  nothingUntoward(ann, ben)
  await Promise.all([ann, ben].map(({ page }) => page.context().close()))
})

/** Saves the timeline and reads it. */
async function exported(page) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save as a file' }).click()])
  assert.match(download.suggestedFilename(), /^switchboard-timeline-[\dT-]+\.json$/)
  const text = fs.readFileSync(await download.path(), 'utf8')
  return { text, record: JSON.parse(text) }
}

for (const viewport of [{ width: 1280, height: 800 }, { width: 360, height: 740 }]) {
  test(`the timeline records each step with its trace and saves it, addresses hidden unless asked (${viewport.width} wide)`, async () => {
    const ann = await visit(browser, server.url, { viewport })
    const ben = await visit(browser, server.url, { viewport, path: ann.page.url() })
    await Promise.all([connected(ann.page, 1), connected(ben.page, 1)])
    const traces = []
    for (const { page } of [ann, ben]) {
      await openFromBar(page, '#open-timeline')
      await page.locator('.step').first().waitFor()
      const shown = await page.locator('.step').count()
      await page.getByLabel('Each candidate').check()
      await page.waitForFunction(before => document.querySelectorAll('.step').length > before, shown)
      const hidden = await exported(page)
      assert.equal(hidden.record.format, 'switchboard-timeline')
      assert.equal(hidden.record.addresses, 'hidden')
      assert.equal(hidden.record.steps.length, hidden.record.stepsInAll)
      assert.equal(hidden.record.peers.length, 1)
      assert.equal(hidden.record.browser, await page.evaluate(() => navigator.userAgent))
      assert.doesNotMatch(hidden.text.replace(hidden.record.browser, ''), /\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|\.local\b|ice-pwd:(?!\[)/)
      assert.equal(hidden.text.includes(ann.room()), false, 'the room’s id is its key')
      await page.getByLabel('Hide addresses').uncheck()
      const full = await exported(page)
      assert.match(full.text, /candidate:\S+ \d (udp|tcp) \d+ \S+ \d+ typ host/)
      traces.push(full.record.peers[0].trace)
      await page.keyboard.press('Escape')
      await page.locator('#timeline').waitFor({ state: 'hidden' })
    }
    assert.equal(traces[0], traces[1], 'both ends write the same trace')
    nothingUntoward(ann, ben)
    await Promise.all([ann, ben].map(({ page }) => page.context().close()))
  })
}

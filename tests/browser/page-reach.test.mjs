// The link that a page offers where it was opened as `localhost`, which means another computer on every other.
import assert from 'node:assert/strict'
import os from 'node:os'
import { after, before, test } from 'node:test'
import { inRoom, nothingUntoward, openFromBar, sideways, visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

const WIDE = { width: 1280, height: 800 }
const NARROW = { width: 360, height: 740 }
const ROOM = '/?roomId=tea-at-eight'
const outward = Object.values(os.networkInterfaces()).flat().find(({ internal, family }) => !internal && family === 'IPv4')?.address

let browser
before(async () => { browser = await launch() })
after(() => browser?.close())

const offered = page => page.locator('#invite .link-field').inputValue()

async function openDialog(page) {
  await openFromBar(page, '#open-share')
  const dialog = page.getByRole('dialog', { name: 'Invite somebody' })
  await dialog.waitFor()
  return dialog
}

/** What `/app/reach.json` says to a request with these headers. */
const told = async (url, headers = {}) => (await (await fetch(new URL('/app/reach.json', url), { headers })).json()).origin

for (const viewport of [WIDE, NARROW]) {
  test(`where no other address is known, it says so and what to do, and shows no QR code (${viewport.width} wide)`, async () => {
    const server = await startServer()
    const ann = await visit(browser, server.url, { path: ROOM, viewport })
    const { page } = ann
    assert.match(await page.locator('#invite').textContent(), /works on this computer only.*public_url/)
    assert.doesNotMatch(await page.locator('#invite').textContent(), /Send this link to somebody/)
    assert.equal(await offered(page), page.url())
    const dialog = await openDialog(page)
    assert.match(await dialog.textContent(), /works on this computer only/)
    assert.equal(await page.locator('.qr').count(), 0)
    assert.equal(await sideways(page), 0)
    nothingUntoward(ann)
    await page.context().close()
    await server.stop()
  })
}

test('the public URL is offered, with its QR code', async () => {
  const server = await startServer(0, ['--public-url', 'https://talk.example'])
  for (const host of ['127.0.0.1', 'localhost']) {
    const ann = await visit(browser, `http://${host}:${server.port}`, { path: ROOM })
    assert.equal(await offered(ann.page), 'https://talk.example/?roomId=tea-at-eight')
    assert.equal(await ann.page.locator('#invite .qr').isVisible(), true)
    assert.doesNotMatch(await ann.page.locator('#invite').textContent(), /this computer/)
    nothingUntoward(ann)
    await ann.page.context().close()
  }
  await server.stop()
})

test('the address in the network is offered, and leads into the room', { skip: outward ? false : 'this machine is in no network' }, async () => {
  const server = await startServer(0, ['--listen', '0.0.0.0:0'])
  const ann = await visit(browser, `http://localhost:${server.port}`, { path: ROOM })
  const link = await offered(ann.page)
  assert.notEqual(new URL(link).hostname, 'localhost')
  assert.match(await ann.page.locator('#invite').textContent(), /in the same network/)
  assert.equal(await (await openDialog(ann.page)).locator('.link-field').inputValue(), link)
  const ben = await (await browser.newContext()).newPage()
  await ben.goto(link)
  await inRoom(ben)
  await ann.page.locator('.lines .line:not(.self)').waitFor({ state: 'attached' })
  nothingUntoward(ann)
  await Promise.all([ann.page, ben].map(page => page.context().close()))
  await server.stop()
})

test('the address is told on this machine alone, to pages that were opened by its own name', async () => {
  const server = await startServer(0, ['--public-url', 'https://talk.example'])
  assert.equal(await told(server.url), 'https://talk.example')
  assert.equal(await told(server.url, { 'X-Forwarded-For': '198.51.100.7' }), null, 'through a proxy')
  assert.equal(await told(server.url, { 'X-Forwarded-Host': 'rebound.example' }), null, 'under another name')
  await server.stop()
})

// Which room the page enters, and how it leaves.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { inRoom, nothingUntoward, openFromBar, visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server
let browser
before(async () => {
  browser = await launch()
  server = await startServer()
})
after(async () => { await browser?.close(); await server?.stop() })

const stored = page => page.evaluate(() => localStorage.getItem('roomId'))

test('without a link or a memory the page opens a new room and puts it into the address', async () => {
  const ann = await visit(browser, server.url)
  assert.match(ann.room(), /^[A-Za-z0-9_-]{10}$/)
  assert.equal(await stored(ann.page), ann.room())
  assert.equal(await ann.page.locator('#room-id').textContent(), ann.room())
  assert.equal(await ann.page.title(), `${ann.room()} – Switchboard`)
  await ann.page.getByRole('heading', { name: 'You are the only one on the line' }).waitFor()
  nothingUntoward(ann)
  await ann.page.context().close()
})

test('a link is entered under either name, and rewritten to the one that is shared', async () => {
  const ann = await visit(browser, server.url, { path: '/?room=tea-at-eight&x=1' })
  assert.equal(ann.page.url(), new URL('/?roomId=tea-at-eight', server.url).href)
  nothingUntoward(ann)
  await ann.page.context().close()
})

test('the room is remembered, and a link wins over the memory', async () => {
  const ann = await visit(browser, server.url, { path: '/?roomId=first-room' })
  await ann.page.goto(server.url)
  await inRoom(ann.page)
  assert.equal(ann.room(), 'first-room')
  await ann.page.goto(new URL('/?roomId=second-room', server.url).href)
  await inRoom(ann.page)
  assert.equal(ann.room(), 'second-room')
  assert.equal(await stored(ann.page), 'second-room')
  nothingUntoward(ann)
  await ann.page.context().close()
})

for (const id of ['undefined', 'abc', 'a b c d e', '<img src=x>']) {
  test(`a link to “${id}” leads to another room, with a notice that says so`, async () => {
    const ann = await visit(browser, server.url, { path: `/?roomId=${encodeURIComponent(id)}` })
    assert.match(ann.room(), /^[A-Za-z0-9_-]{10}$/)
    const notice = ann.page.getByRole('alert')
    await notice.getByText(`No room can be called “${id}”.`).waitFor()
    await notice.getByRole('button', { name: /Close this notice/ }).click()
    await notice.waitFor({ state: 'detached' })
    nothingUntoward(ann)
    await ann.page.context().close()
  })
}

test('an id that a script wrote into storage by mistake is not entered', async () => {
  const ann = await visit(browser, server.url, { path: '/?roomId=first-room' })
  await ann.page.evaluate(() => localStorage.setItem('roomId', 'undefined'))
  await ann.page.goto(server.url)
  await inRoom(ann.page)
  assert.match(ann.room(), /^[A-Za-z0-9_-]{10}$/)
  await ann.page.context().close()
})

test('leaving forgets the room and offers a new one', async () => {
  const ann = await visit(browser, server.url, { path: '/?roomId=short-visit' })
  await openFromBar(ann.page, '#open-leave')
  await ann.page.getByRole('button', { name: 'Stay' }).click()
  assert.equal(await stored(ann.page), 'short-visit')
  await openFromBar(ann.page, '#open-leave')
  await ann.page.getByRole('button', { name: 'Leave the room' }).click()
  await ann.page.getByRole('heading', { name: 'You have left the room' }).waitFor()
  assert.equal(await stored(ann.page), null)
  assert.equal(ann.room(), null)
  await ann.page.getByRole('button', { name: 'Start a new room' }).click()
  await inRoom(ann.page)
  assert.match(ann.room(), /^[A-Za-z0-9_-]{10}$/)
  nothingUntoward(ann)
  await ann.page.context().close()
})

test('a name is invented once, can be changed, and is remembered', async () => {
  const ann = await visit(browser, server.url)
  const name = ann.page.locator('#self-name')
  const invented = await name.textContent()
  assert.match(invented, /^[A-Z][a-z]+ [A-Z][a-z]+$/)
  await ann.page.reload()
  await inRoom(ann.page)
  assert.equal(await name.textContent(), invented)
  await ann.page.getByRole('button', { name: 'Choose another name' }).click()
  await ann.page.getByLabel('What others in the room call you').fill('  Ann   of  Green Gables ')
  await ann.page.getByRole('button', { name: 'Use this name' }).click()
  await ann.page.reload()
  await inRoom(ann.page)
  assert.equal(await name.textContent(), 'Ann of Green Gables')
  nothingUntoward(ann)
  await ann.page.context().close()
})

test('a second tab of the same room says so, and can take it over', async () => {
  const first = await visit(browser, server.url, { path: '/?roomId=two-tabs' })
  const page = await first.page.context().newPage()
  await page.goto(first.page.url())
  await inRoom(page)
  await page.getByText('This room is also open in another tab.').waitFor()
  await first.page.getByText('This room is also open in another tab.').waitFor()
  await page.getByRole('button', { name: 'Close it there' }).click()
  await first.page.getByRole('heading', { name: 'You moved to another tab' }).waitFor()
  await page.getByText('This room is also open in another tab.').waitFor({ state: 'detached' })
  nothingUntoward(first)
  await page.context().close()
})

test('a browser without WebRTC is told so, and what to do', async () => {
  const context = await browser.newContext()
  await context.addInitScript(() => { delete globalThis.RTCPeerConnection })
  const page = await context.newPage()
  await page.goto(server.url)
  await page.getByRole('heading', { name: 'This browser cannot connect' }).waitFor()
  await page.getByText(/use a current Firefox/).waitFor()
  await context.close()
})

test('a browser that refuses storage enters all the same', async () => {
  const context = await browser.newContext()
  await context.addInitScript(() => { Object.defineProperty(globalThis, 'localStorage', { get() { throw new DOMException('refused', 'SecurityError') } }) })
  const page = await context.newPage()
  await page.goto(server.url)
  await inRoom(page)
  await context.close()
})

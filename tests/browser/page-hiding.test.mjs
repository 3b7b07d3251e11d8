// *Hide my address* on the page: by the keyboard, remembered, shown on each line, and honest where there is no relay.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connected, happened, heard, nothingUntoward, say, visit } from './page-driver.mjs'
import { launchTrusting, startRelay } from './support/relay.mjs'
import { startServer } from './support/server.mjs'

let relay
let bare
let browser
before(async () => {
  [relay, bare] = await Promise.all([startRelay(), startServer(0, ['--turn-listen', 'none'])])
  browser = await launchTrusting(relay)
})
after(async () => { await Promise.all([browser?.close(), relay?.stop(), bare?.stop()]) })

const how = (page, words) => page.locator('.line:not(.self) .line-how', { hasText: words }).waitFor()

/** The candidates that a page tells others, by type. */
function typesTold(page) {
  const types = []
  page.on('websocket', socket => socket.on('framesent', ({ payload }) => {
    for (const [, type] of payload.matchAll(/ typ (\w+)/g)) types.push(type)
  }))
  return types
}

test('the switch hides the address at once, stays on after a reload, and goes off again', async () => {
  const ann = await visit(browser, relay.url)
  const ben = await visit(browser, relay.url, { path: ann.page.url() })
  await Promise.all([connected(ann.page, 1), connected(ben.page, 1)])
  await how(ann.page, /^Direct · UDP · /)
  const hide = ann.page.getByRole('switch', { name: 'Hide my address' })
  assert.equal(await hide.isChecked(), false)
  await ann.page.getByText('People in this room can see your IP address.').waitFor()
  await hide.focus()
  await ann.page.keyboard.press('Space')
  assert.equal(await hide.isChecked(), true)
  for (const { page } of [ann, ben]) await how(page, /^Relayed · UDP · (under 1|\d+) ms$/)
  await ann.page.locator('.line:not(.self) summary').click()
  await ann.page.getByText('through a relay, encrypted end to end').waitFor()
  await ann.page.getByText('UDP, to the relay by UDP').waitFor()
  await say(ben.page, 'still there?')
  await heard(ann.page, 'still there?').waitFor()
  await ben.page.locator('.line-entry', { hasText: 'was made anew' }).waitFor()
  for (const { page } of [ann, ben]) assert.ok(!(await happened(page)).some(line => line.includes('interrupted')), 'a switch is no fault')

  const told = typesTold(ann.page)
  await ann.page.reload()
  await connected(ann.page, 1)
  assert.equal(await hide.isChecked(), true, 'remembered')
  await how(ann.page, /^Relayed · /)
  assert.deepEqual([...new Set(told)], ['relay'])

  await hide.uncheck()
  await how(ann.page, /^Direct · UDP · /)
  await ann.page.reload()
  await connected(ann.page, 1)
  assert.equal(await hide.isChecked(), false)
  nothingUntoward(ann, ben)
  await Promise.all([ann, ben].map(({ page }) => page.context().close()))
})

test('without a relay the page says that nobody can connect, and offers the way back', async () => {
  const ann = await visit(browser, bare.url)
  await ann.page.getByRole('switch', { name: 'Hide my address' }).check()
  const notice = ann.page.getByRole('alert').filter({ hasText: 'Your address stays hidden, so nobody can connect to you now.' })
  await notice.waitFor()
  const ben = await visit(browser, bare.url, { path: ann.page.url() })
  await ann.page.locator('.line:not(.self)').waitFor()
  assert.equal(await ann.page.locator('.line:not(.self)[data-state="open"]').count(), 0)
  await notice.getByRole('button', { name: 'Show my address and connect' }).click()
  await Promise.all([connected(ann.page, 1), connected(ben.page, 1)])
  await notice.waitFor({ state: 'detached' })
  assert.equal(await ann.page.getByRole('switch', { name: 'Hide my address' }).isChecked(), false)
  await Promise.all([ann, ben].map(({ page }) => page.context().close()))
})

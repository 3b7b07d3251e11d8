// What a newcomer does: start the program with nothing at all, on a machine where nothing else runs, and open what it prints.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { connected, heard, nothingUntoward, receipt, say, visit } from './page-driver.mjs'
import { ARGS, EXECUTABLE } from './support/browser.mjs'
import { Network, unavailable } from './support/namespaces.mjs'
import { listening } from './support/server.mjs'

const skip = unavailable()
let network, browser
before(async () => {
  if (skip) return
  network = new Network(['one'])
  browser = await chromium.launch({ executablePath: network.hosts.one.wrapper(EXECUTABLE), args: ARGS })
})
after(async () => { await browser?.close(); await network?.destroy() })

test('without an argument, a file or an environment the program serves a page on which two people talk', { skip }, async () => {
  const server = network.hosts.one.spawn('env', ['--ignore-environment', process.env.SERVER_UNDER_TEST], { stdio: ['ignore', 'pipe', 'pipe'] })
  const url = await listening(server)
  const ann = await visit(browser, url)
  const ben = await visit(browser, url, { path: ann.page.url() })
  await Promise.all([ann, ben].map(({ page }) => connected(page, 1)))
  await say(ann.page, 'It just runs')
  await heard(ben.page, 'It just runs').waitFor()
  await receipt(ann.page, 'It just runs', 'Delivered')
  await say(ben.page, 'Here too')
  await heard(ann.page, 'Here too').waitFor()
  await ann.page.locator('.line-how', { hasText: /^Direct · / }).waitFor()
  nothingUntoward(ann, ben)
  assert.equal(server.exitCode, null)
})

// What a newcomer does: start the program with nothing at all, on a machine where nothing else runs, and open what it prints.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { connected, heard, nothingUntoward, receipt, say, visit } from './page-driver.mjs'
import { ARGS, EXECUTABLE, PATIENCE_MS } from './support/browser.mjs'
import { Network, unavailable } from './support/namespaces.mjs'

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
  const said = []
  server.stderr.on('data', data => said.push(data))
  const url = await new Promise((resolve, reject) => {
    const fail = why => reject(new Error(`${why}:\n${said.join('')}`))
    const late = setTimeout(fail, PATIENCE_MS, 'it never said where it listens')
    server.once('exit', code => fail(`it ended with ${code}`))
    createInterface(server.stdout).on('line', line => {
      said.push(`${line}\n`)
      const found = /(http:\/\/\S+)/.exec(line)
      if (!found) return
      clearTimeout(late)
      resolve(found[1])
    })
  })
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

// A server that is up, behind a proxy that keeps the page's WebSocket from it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { misconfigured } from './support/front.mjs'
import { startServer } from './support/server.mjs'

let browser
let server
before(async () => { [browser, server] = await Promise.all([launch(), startServer()]) })
after(async () => { await browser?.close(); await server?.stop() })

const WRONG = [
  ['puts another name in place of its own', { host: 'inner.example' }, /up, but takes this page for another site’s.*Host header.*public_url/, /takes this page for another site’s.*Host header.*public_url/],
  ['passes no WebSocket on', { upgrades: false }, /up and answers this page, but its WebSocket does not get through/, /is up but its WebSocket does not get through/],
]
for (const [what, wrong, onPage, inTest] of WRONG) {
  test(`behind a proxy that ${what}, the page and the connection test say that the server is up, and what helps`, async () => {
    const front = await misconfigured(server.port, wrong)
    const { page } = await visit(browser, front.url, { waitFor: 'nothing' })
    await page.getByRole('heading', { name: 'The server does not let this page in' }).waitFor()
    assert.match(await page.locator('#screen').textContent(), onPage)
    assert.match(await page.locator('#screen').textContent(), /Trying again by itself/)
    await page.goto(`${front.url}/diagnostics`)
    await page.locator('#copy:not([disabled])').waitFor({ timeout: 60_000 })
    assert.match(await page.locator('#verdict').textContent(), inTest)
    await page.context().close()
    front.close()
  })
}

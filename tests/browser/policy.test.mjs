// The page's policy lets it open WebSockets to its own server and to no other, under every name, in Chromium and in Firefox.
import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { after, before, test } from 'node:test'
import puppeteer from 'puppeteer-core'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let browsers, server
before(async () => {
  const [Chromium, Firefox, started] = await Promise.all([launch(), puppeteer.launch({
    browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true,
  }), startServer(0, ['--listen', '0.0.0.0:0', '--listen', '[::1]:0'])])
  browsers = { Chromium, Firefox }
  server = started
})
after(async () => {
  await Promise.all(Object.values(browsers ?? {}).map(browser => browser.close()))
  await server?.stop()
})

/** An address of this machine that is not loopback's, as people on a local network use it; none where there is no network. */
const lan = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === 'IPv4' && !internal)?.address

for (const name of ['Chromium', 'Firefox']) {
  test(`${name} connects to the page's own server alone`, async () => {
    const addresses = (await server.serving).addresses.split(', ')
    const port = family => addresses.find(address => address.startsWith(family)).split(':').at(-1)
    const four = port('0.0.0.0'), six = port('[::1]')
    const other = `127.0.0.2:${four}`
    const hosts = [`127.0.0.1:${four}`, `localhost:${four}`, `[::1]:${six}`, ...lan ? [`${lan}:${four}`] : []]
    const page = await browsers[name].newPage()
    try {
      for (const host of hosts) {
        await page.goto(`http://${host}/an-empty-page`)
        const open = target => page.evaluate(url => new Promise(resolve => {
          document.addEventListener('securitypolicyviolation', event => resolve(`refused by ${event.effectiveDirective}`), { once: true })
          try {
            const socket = new WebSocket(url)
            socket.onopen = () => resolve('open')
            // tidy: allow(sleep) - the violation is told before or right after; this is how long it may take
            socket.onerror = () => setTimeout(resolve, 1000, 'failed')
          } catch { /* Told as a violation too. */ }
        }), `ws://${target}/ws`)
        assert.equal(await open(host), 'open', host)
        assert.equal(await open(other), 'refused by connect-src', `from ${host}`)
      }
    } finally {
      await page.close()
    }
  })
}

// Pages with the browser bundles of ipfs-core, as they were published: 0.5.4 of 2021 (webrtc-star 0.21), and 0.18.1, the last one
// (@libp2p/webrtc-star 6). They know one webrtc-star server and nothing else: no bootstrap, no relay, no preload.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import { createServer } from 'node:http'
import path from 'node:path'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import puppeteer from 'puppeteer-core'
import { ARGS, EXECUTABLE } from '../../browser/support/browser.mjs'

/** Long enough for a node with a new RSA key on a busy machine, and for two rounds of announcements. */
export const PATIENCE_MS = 90_000

/** What is published under these versions. Only the bundle in it is used, so that the hundreds of packages behind it need not be. */
const PUBLISHED = {
  '0.5.4': 'gyv3slu7FuaN1wxfDPhNoWiTSvUJ1pq0Nx2NsU3WWzOvKCaacHtE8HXO51AAuQUMUEN0thYGzVHziHGLI9udNQ==',
  '0.18.1': '87nLL9my6mFiR3woW5XEZ8D5SbHljXWDNc5Udxx79AFs3tzne68VPg87oFO6bxmOwM/1e7+7UkMevEy5t/s0lQ==',
}

const run = promisify(execFile)

/** The bundle of a version, from npm's registry the first time. */
async function bundle(version) {
  const folder = path.join(import.meta.dirname, '../../node_modules/.cache/ipfs-core')
  const archive = path.join(folder, `ipfs-core-${version}.tgz`)
  fs.mkdirSync(folder, { recursive: true })
  if (!fs.existsSync(archive)) await run('npm', ['pack', '--silent', `ipfs-core@${version}`, '--pack-destination', folder])
  const hash = createHash('sha512').update(fs.readFileSync(archive)).digest('base64')
  if (hash !== PUBLISHED[version]) throw new Error(`${archive} is not what was published`)
  const { stdout } = await run('tar', ['-xzOf', archive, 'package/dist/index.min.js'], { maxBuffer: 16 << 20 })
  return stdout.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n')
}

/** Serves one page for each version, from an origin that is not the star server's. */
async function servePages() {
  const bundles = Object.fromEntries(await Promise.all(Object.keys(PUBLISHED).map(async version => [version, await bundle(version)])))
  const server = createServer((request, response) => {
    const [, version, file] = request.url.split('/')
    if (!Object.hasOwn(bundles, version)) return response.writeHead(404).end()
    const script = file === 'ipfs-core.js'
    response.writeHead(200, { 'content-type': script ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8' })
    response.end(script ? bundles[version] : `<!doctype html><title>ipfs-core ${version}</title><script src="/${version}/ipfs-core.js"></script><script>(${member})()</script>`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => { server.closeAllConnections(); server.close() } }
}

/** Runs in each page: a node, and what it hears on a topic. */
function member() {
  const TOPIC = 'switchboard-test'
  globalThis.heard = []
  globalThis.begin = async stars => {
    const node = globalThis.node = await globalThis.IpfsCore.create({
      repo: `repo-${Math.random()}`,
      silent: true,
      preload: { enabled: false },
      relay: { enabled: false, hop: { enabled: false } },
      config: {
        Addresses: { Swarm: stars, Delegates: [] },
        Bootstrap: [],
        Discovery: { MDNS: { Enabled: false }, webRTCStar: { Enabled: true } },
      },
    })
    await node.pubsub.subscribe(TOPIC, message => globalThis.heard.push(new TextDecoder().decode(message.data)))
    return `${(await node.id()).id}`
  }
  // Said again and again: a mesh of subscribers takes its time, and loses what comes before.
  globalThis.say = text => {
    clearInterval(globalThis.saying)
    globalThis.saying = setInterval(() => { globalThis.node.pubsub.publish(TOPIC, new TextEncoder().encode(text)).catch(() => {}) }, 500)
  }
  globalThis.links = async () => (await globalThis.node.swarm.peers()).map(({ addr, peer }) => ({ addr: `${addr}`, peer: `${peer}` }))
}

/** Both browsers with their pages. */
export async function openBrowsers() {
  const pages = await servePages()
  const [chrome, firefox] = await Promise.all([
    chromium.launch({ executablePath: EXECUTABLE, args: ARGS }),
    puppeteer.launch({
      browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true,
      extraPrefsFirefox: {
        // Names for local addresses need multicast, which a test machine may lack.
        'media.peerconnection.ice.obfuscate_host_addresses': false,
        // Pages behind another keep their pace.
        'dom.min_background_timeout_value': 4, 'dom.timeout.enable_budget_timer_throttling': false,
      },
    }),
  ])
  const open = {
    Chromium: async () => {
      const context = await chrome.newContext()
      return { page: await context.newPage(), close: () => context.close() }
    },
    Firefox: async () => {
      const page = await firefox.newPage()
      return { page, close: () => page.close() }
    },
  }
  return {
    /** Opens a page in one of them and starts its node. */
    async visit(browser, version, stars) {
      const { page, close } = await open[browser]()
      const visitor = new Visitor(page, `ipfs-core ${version} in ${browser}`, close)
      page.on('pageerror', error => visitor.faults.push(`${error.stack ?? error}`))
      await page.goto(`${pages.origin}/${version}/`)
      visitor.id = await page.evaluate(stars => globalThis.begin(stars), stars)
      return visitor
    },
    async close() {
      pages.close()
      await Promise.all([chrome.close(), firefox.close()])
    },
  }
}

/** A person's page. */
class Visitor {
  faults = []

  constructor(page, name, close) {
    Object.assign(this, { page, name, close })
  }

  /** Waits until a function is truthy in the page. */
  async until(what, check, argument) {
    try {
      const options = { polling: 100, timeout: PATIENCE_MS }
      // The two drivers take their arguments in different orders.
      await (this.name.endsWith('Firefox') ? this.page.waitForFunction(check, options, argument) : this.page.waitForFunction(check, argument, options))
    } catch (error) {
      const state = await this.page.evaluate(async () => ({ heard: [...new Set(globalThis.heard)], links: await globalThis.links() })).catch(String)
      throw new Error(`${this.name} waits for ${what}: ${error.message}\n${JSON.stringify(state)}\n${this.faults.join('\n')}`)
    }
  }

  say(text) {
    return this.page.evaluate(text => globalThis.say(text), text)
  }

  hears(text) {
    return this.until(`the message ${text}`, text => globalThis.heard.includes(text), text)
  }

  /** Waits until it is linked with another page directly. */
  linked(other) {
    return this.until(`a link with ${other.name}`, async id => (await globalThis.links()).some(({ addr, peer }) => peer === id && !addr.includes('circuit')), other.id)
  }
}

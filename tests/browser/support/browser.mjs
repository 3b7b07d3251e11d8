// Debian's Chromium, and pages in it that have joined a room through /switchboard.js and write down what happens.
import { chromium } from 'playwright-core'

export const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium'
export const ARGS = [
  '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-quic',
]

/** Long enough for a busy machine; what has to be faster says so where it is waited for. */
export const PATIENCE_MS = 20_000

export const launch = (args = []) => chromium.launch({ executablePath: EXECUTABLE, args: [...ARGS, ...args] })

/** A browser that can be killed: its processes are a group of their own. */
export async function launchMortal() {
  const server = await chromium.launchServer({ executablePath: EXECUTABLE, args: ARGS })
  const browser = await chromium.connect(server.wsEndpoint())
  return { browser, kill: () => process.kill(-server.process().pid, 'SIGKILL') }
}

/**
 * Opens a page of the server's origin that does nothing by itself.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 */
export async function openBlank(browser, url) {
  const context = await browser.newContext()
  const page = await context.newPage()
  page.on('pageerror', error => console.error(`page: ${error.stack}`))
  await page.addInitScript(recorder)
  // Any path answers with a page; this one has the server's Content-Security-Policy and no script.
  await page.goto(`${url}/an-empty-page`)
  return page
}

/**
 * Opens a page and joins a room with it.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {string | null} room
 * @param {object} [options]
 */
export async function joinPage(browser, url, room, options = {}) {
  const page = await openBlank(browser, url)
  await join(page, room, options)
  return page
}

/** @param {import('playwright-core').Page} page */
export const join = (page, room, options = {}) =>
  page.evaluate(async ([room, options]) => { await globalThis.recorder.join(room, options) }, [room, options])

/** @param {import('playwright-core').Page} page */
export const roomOf = page => page.evaluate(() => globalThis.room.id)

/** @param {import('playwright-core').Page} page */
export const idOf = page => page.evaluate(() => globalThis.room.self.id)

/** The events of one type so far. @param {import('playwright-core').Page} page */
export const events = (page, type) => page.evaluate(type => globalThis.events.filter(event => event.type === type), type)

/**
 * Waits until a page has seen `count` events of a type that have these members.
 * @param {import('playwright-core').Page} page
 */
export const seen = (page, type, like = {}, { count = 1, within = PATIENCE_MS } = {}) =>
  until(page, ([type, like, count]) => {
    const found = globalThis.events.filter(event => event.type === type && Object.keys(like).every(key => event[key] === like[key]))
    return found.length >= count ? found : null
  }, [type, like, count], within)

/** Waits until the links to this many peers are open. @param {import('playwright-core').Page} page */
export const connected = (page, count = 1) =>
  until(page, count => [...globalThis.room.peers.values()].filter(peer => peer.state === 'open').length === count, count)

/**
 * Waits until a function is truthy in the page, and gives its value.
 * @param {import('playwright-core').Page} page
 */
export async function until(page, check, argument, within = PATIENCE_MS) {
  try {
    return await (await page.waitForFunction(check, argument, { polling: 20, timeout: within })).jsonValue()
  } catch (error) {
    const log = await page.evaluate(() => globalThis.events?.map(({ at, type, ...rest }) => `${Math.round(at)} ${type} ${JSON.stringify(rest)}`).slice(-60).join('\n')).catch(() => '')
    throw new Error(`waiting for ${check} with ${JSON.stringify(argument)}: ${error.message}\nThe page saw:\n${log}`)
  }
}

/** Runs in each page before anything else. */
function recorder() {
  globalThis.events = []
  const note = (type, more = {}) => globalThis.events.push({ at: performance.now(), type, ...more })
  const tell = {
    peer: ({ peer }) => ({ id: peer.id, name: peer.name, dialect: peer.dialect }),
    connection: ({ peer }) => ({ id: peer.id }),
    peerstate: ({ peer, state, was }) => ({ id: peer.id, state, was }),
    peerleft: ({ peer, reason }) => ({ id: peer.id, reason }),
    message: ({ peer, data, binary, sentAt, id }) => ({
      from: peer.id, data: typeof data === 'string' && data.length < 1000 ? data : undefined, size: data.byteLength ?? data.length, binary,
      sentAt: sentAt?.getTime() ?? null, message: id,
    }),
    progress: ({ peer, received, total }) => ({ id: peer.id, received, total }),
    delivery: ({ peer, id, state }) => ({ to: peer.id, message: id, state }),
    renamed: ({ peer, name, was }) => ({ id: peer.id, name, was }),
    signalling: ({ state, was, reason }) => ({ state, was, reason }),
    track: ({ peer, track }) => ({ id: peer.id, kind: track.kind }),
    step: ({ peer, kind, text }) => ({ id: peer?.id, kind, text }),
    error: ({ error }) => ({ code: error.code, message: error.message }),
  }
  globalThis.recorder = {
    note,
    async join(id, options) {
      const { join } = await import('/switchboard.js')
      const room = await join(id, options)
      globalThis.room = room
      for (const [type, detail] of Object.entries(tell)) room.on(type, event => note(type, detail(event)))
      globalThis.whole = []
      room.on('message', ({ data }) => globalThis.whole.push(data))
    },
  }
}

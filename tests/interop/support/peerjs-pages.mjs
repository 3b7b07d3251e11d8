// Pages with the official PeerJS bundle, unchanged, in Chromium and in Firefox, of another origin than the server's, as such pages
// are. What a page's peers and connections tell is written down in the page and waited for from here.
import fs from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:http'
import path from 'node:path'
import { chromium } from 'playwright-core'
import puppeteer from 'puppeteer-core'
import { ARGS, EXECUTABLE } from '../../browser/support/browser.mjs'

/** Generations of the client, oldest first. */
export const VERSIONS = ['1.0', '1.2', '1.3', '1.4', '1.5', '2.0']

/** Long enough for a busy machine, with Firefox's slower negotiation. */
export const PATIENCE_MS = 30_000

const bundle = version => fs.readFileSync(path.join(import.meta.dirname, `../../node_modules/peerjs-${version}/dist/peerjs.min.js`), 'utf8').replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n')

/** Serves one page for each version. */
export async function servePages() {
  const server = createServer((request, response) => {
    const [, version, file] = request.url.split('/')
    if (!VERSIONS.includes(version)) return response.writeHead(404).end()
    const script = file === 'peerjs.js'
    response.writeHead(200, { 'content-type': script ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8' })
    response.end(script ? bundle(version) : `<!doctype html><title>PeerJS ${version}</title><script src="/${version}/peerjs.js"></script><script>(${recorder})()</script>`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${server.address().port}`
  return { origin, close: () => { server.closeAllConnections(); server.close() } }
}

/** Both browsers, with cameras that are none. */
export async function browsers(origin) {
  const [chrome, firefox] = await Promise.all([
    chromium.launch({ executablePath: EXECUTABLE, args: [...ARGS, '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'] }),
    puppeteer.launch({
      browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true,
      extraPrefsFirefox: {
        // Names for local addresses need multicast, which a test machine may lack.
        'media.peerconnection.ice.obfuscate_host_addresses': false, 'media.peerconnection.ice.loopback': true, 'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true,
        // Pages behind another keep their pace.
        'dom.min_background_timeout_value': 4, 'dom.timeout.enable_budget_timer_throttling': false, 'media.autoplay.default': 0,
      },
    }),
  ])
  const open = {
    Chromium: async () => {
      const context = await chrome.newContext({ permissions: [] })
      const page = await context.newPage()
      return { page, close: () => page.close({ runBeforeUnload: false }), dispose: () => context.close() }
    },
    Firefox: async () => {
      const page = await firefox.newPage()
      return { page, close: () => page.close(), dispose: () => page.isClosed() ? undefined : page.close() }
    },
  }
  return {
    /** Opens a page in one of them. */
    async visit(browser, version) {
      const { page, close, dispose } = await open[browser]()
      const faults = []
      // Firefox reports sockets that break as errors of the page.
      page.on('pageerror', error => { if (!/^(Error: )?(The connection to|Firefox can.t establish)/.test(`${error}`)) faults.push(error.stack ?? `${error}`) })
      await page.goto(`${origin}/${version}/`)
      return new Visitor(page, { name: `PeerJS ${version} in ${browser}`, faults, close, dispose })
    },
    close: () => Promise.all([chrome.close(), firefox.close()]),
  }
}

/** A person's page. */
export class Visitor {
  constructor(page, { name, faults, close, dispose }) {
    Object.assign(this, { page, name, faults, close, dispose })
  }

  /** Runs a function in the page. */
  run(work, argument) { return this.page.evaluate(work, argument) }

  /** Makes a peer, and gives its id when it is open. */
  async open(server, { id, ...options } = {}) {
    await this.begin(server, { id, ...options })
    return (await this.heard('open')).id
  }

  /** Makes a peer, whatever comes of it. */
  async begin(server, { id, ...options } = {}) {
    const settings = { host: '127.0.0.1', port: server.port, path: '/', secure: false, debug: 0, config: { iceServers: [] }, ...options }
    await this.run(([id, settings]) => { globalThis.recorder.begin(id, settings) }, [id ?? null, settings])
  }

  /** Connects to a peer, and gives the connection's number. */
  connect(id, options = {}) { return this.run(([id, options]) => globalThis.recorder.connect(id, options), [id, options]) }

  /** Waits for an event of the peer or of its connections that has these members, and gives it; `count` for the last of so many. */
  async heard(type, like = {}, count = 1) {
    const wanted = { type, like, count, ms: PATIENCE_MS }
    const event = await this.run(wanted => globalThis.recorder.wait(wanted), wanted)
    if (event.vain) throw new Error(`${this.name} waited in vain for ${count} × ${type} ${JSON.stringify(like)}; it saw\n${event.vain}\n${this.faults.join('\n')}`)
    return event
  }

  /** The events of a type so far. */
  events(type) { return this.run(type => globalThis.events.filter(event => event.type === type), type) }
}

/** Runs in each page. */
function recorder() {
  const Peer = globalThis.Peer ?? globalThis.peerjs.Peer
  const events = globalThis.events = []
  const connections = globalThis.connections = []
  const waiting = new Set()
  const note = (type, more = {}) => {
    events.push({ type, ...more })
    for (const check of waiting) check()
  }
  const size = data => data.byteLength ?? data.size ?? data.length
  /** How data arrived: its kind, its size, and a sum by which a change would show. */
  const told = async data => {
    if (typeof data === 'string') return { kind: 'text', size: data.length, text: data.slice(0, 200) }
    if (data instanceof Blob) data = await data.arrayBuffer()
    if (!(data instanceof ArrayBuffer) && !ArrayBuffer.isView(data)) return { kind: 'json', json: JSON.stringify(data) }
    const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return { kind: 'binary', size: size(data), sum: bytes.reduce((sum, byte) => (sum * 31 + byte) % 1_000_003, 7) }
  }
  const watch = connection => {
    const number = connections.push(connection) - 1
    const about = { number, peer: connection.peer }
    connection.on('open', () => note('connection-open', about))
    connection.on('data', async data => note('data', { ...about, ...await told(data) }))
    connection.on('close', () => note('connection-close', about))
    connection.on('error', error => note('connection-error', { ...about, error: `${error}` }))
    connection.on('stream', stream => {
      const video = document.createElement('video')
      Object.assign(video, { srcObject: stream, muted: true, autoplay: true, playsInline: true })
      document.body.append(video)
      video.requestVideoFrameCallback
        ? video.requestVideoFrameCallback(() => note('frame', about))
        : video.addEventListener('timeupdate', () => { if (video.videoWidth > 0) note('frame', about) })
      note('stream', { ...about, tracks: stream.getTracks().map(({ kind }) => kind).sort() })
    })
    return number
  }
  const camera = () => navigator.mediaDevices.getUserMedia({ audio: true, video: true })
  globalThis.recorder = {
    begin(id, settings) {
      const peer = globalThis.peer = id === null ? new Peer(settings) : new Peer(id, settings)
      peer.on('open', id => note('open', { id }))
      peer.on('connection', connection => note('connection', { number: watch(connection), peer: connection.peer, metadata: connection.metadata }))
      peer.on('call', async call => {
        const number = watch(call)
        call.answer(await camera())
        note('call', { number, peer: call.peer })
      })
      peer.on('disconnected', () => note('disconnected'))
      peer.on('close', () => note('close'))
      peer.on('error', error => note('error', { name: error.type, message: error.message ?? `${error}` }))
    },
    connect: (id, options) => watch(globalThis.peer.connect(id, options)),
    call: async id => watch(globalThis.peer.call(id, await camera())),
    /** A pattern of so many bytes. */
    bytes: length => Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) % 251),
    told,
    wait: ({ type, like, count, ms }) => new Promise(resolve => {
      const check = () => {
        const found = events.filter(event => event.type === type && Object.keys(like).every(key => event[key] === like[key]))
        if (found.length < count) return
        finish(found[count - 1])
      }
      const late = setTimeout(() => finish({ vain: events.map(event => JSON.stringify(event)).slice(-40).join('\n') }), ms)
      const finish = value => {
        clearTimeout(late)
        waiting.delete(check)
        resolve(value)
      }
      waiting.add(check)
      check()
    }),
  }
}

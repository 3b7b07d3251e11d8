// Members of rooms: a headless Chromium on each host, with one page that joins a room for each pair through /switchboard.js.
import { chromium } from 'playwright-core'

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium'
// Addresses of one's own network stay hidden behind .local names, as in everybody's browser.
const ARGS = [
  '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-quic',
  // The server's certificate is the lab's own; there is nobody in the lab to sign it.
  '--ignore-certificate-errors',
]
/** Sixteen browsers share the cores with the routers between them. */
const PATIENCE_MS = 100_000

/** The pages of all pairs, one browser for each host, started when first asked for. */
export class Members {
  #url
  #pages = new Map()
  #browsers = []

  /** @param {string} url  An origin of the server that everybody reaches. */
  constructor(url) {
    this.#url = url
  }

  /** The page on a member's host. @returns {Promise<import('playwright-core').Page>} */
  page(member) {
    if (!this.#pages.has(member)) this.#pages.set(member, this.#open(member))
    return this.#pages.get(member)
  }

  async #open({ host }) {
    const browser = await chromium.launch({ executablePath: host.wrapper(EXECUTABLE), args: ARGS, timeout: PATIENCE_MS })
    this.#browsers.push(browser)
    const page = await browser.newPage()
    page.setDefaultTimeout(PATIENCE_MS)
    page.on('pageerror', error => console.error(`page on ${host.name}: ${error.stack}`))
    await page.addInitScript(inPage)
    // Any path answers with a page; this one has the server's Content-Security-Policy and no script.
    await page.goto(`${this.#url}/an-empty-page`)
    return page
  }

  /** The member in a room, which nobody else of this page is in. */
  async join(member, room, options = {}) {
    const page = await this.page(member)
    await page.evaluate(([room, options]) => globalThis.lab.join(room, options), [room, options])
    return new Guest(page, room)
  }

  async close() {
    await Promise.all(this.#browsers.map(browser => browser.close()))
  }
}

/** A member in the room of one pair. */
class Guest {
  constructor(page, room) {
    this.page = page
    this.room = room
  }

  /** What a method of the page's pair gives now. */
  now(method, ...args) {
    return this.page.evaluate(([room, method, args]) => globalThis.lab.rooms.get(room)[method](...args), [this.room, method, args])
  }

  /** Waits until a method of the page's pair gives something, and returns it. */
  async until(method, ...args) {
    try {
      const handle = await this.page.waitForFunction(
        ([room, method, args]) => globalThis.lab.rooms.get(room)[method](...args),
        [this.room, method, args],
        { polling: 50, timeout: PATIENCE_MS },
      )
      return await handle.jsonValue()
    } catch (error) {
      throw new Error(`${method}(${args.join()}): ${error.message}\n${await this.report()}`)
    }
  }

  /** Milliseconds from joining until the channel was open. */
  opened = () => this.until('opened')
  /** Says something to the other, and waits until it has been told of its arrival. */
  say = text => this.now('say', text)
  heard = text => this.until('heard', text)
  report = () => this.now('report')
  leave = () => this.now('leave')
}

/** Runs in each page before anything else. */
function inPage() {
  class Pair {
    #told = []
    #steps = []
    #room
    #peer
    #begun = performance.now()
    #opened = null
    #path = null
    #stats = []
    #refreshed = 0
    #refreshing

    constructor(room) {
      this.#room = room
      for (const peer of room.peers.values()) this.#meet(peer)
      room.on('peer', ({ peer }) => this.#meet(peer))
      room.on('peerstate', ({ peer }) => this.#meet(peer))
      room.on('message', ({ data }) => this.#told.push(data))
      room.on('step', ({ time, kind, text }) => this.#steps.push(`${time.toISOString().slice(14, 23)} ${kind} ${text}`))
      room.on('error', ({ error }) => this.#steps.push(`error ${error.message}`))
      this.#refreshing = setInterval(() => this.#refresh(), 100)
    }

    #meet(peer) {
      this.#peer = peer
      if (peer.state === 'open') this.#opened ??= Math.round(performance.now() - this.#begun)
    }

    async #refresh() {
      if (!this.#peer) return
      const path = await this.#peer.path()
      this.#stats = [...(await this.#peer.connection.getStats()).values()]
      const relay = this.#stats.find(({ type, address, port, candidateType }) =>
        type === 'local-candidate' && candidateType === 'relay' && path?.localAddress === `${address}:${port}`)
      this.#refreshed += 1
      this.#path = path && { ...path, relayUrl: relay?.url, refreshed: this.#refreshed }
    }

    opened() {
      return this.#opened
    }

    async say(text) {
      const { done, to } = this.#room.send(text)
      await done
      return [...to.values()]
    }

    heard(text) {
      return this.#told.includes(text)
    }

    /** The path as it is after the one called `last`, if it is of this kind. */
    goes(kind, last = 0) {
      return this.#path?.kind === kind && this.#path.refreshed > last ? this.#path : null
    }

    /** The same, once no pair of candidates is tried any more and no candidate can come. */
    settles(kind, last) {
      const complete = this.#peer?.connection.iceGatheringState === 'complete'
      const trying = this.#stats.some(({ type, state }) => type === 'candidate-pair' && (state === 'waiting' || state === 'in-progress'))
      return complete && !trying ? this.goes(kind, last) : null
    }

    /** Whether the page has begun again so many times, for want of a path. */
    beganAgain(times) {
      return this.#steps.filter(step => /^\S+ (ice-restart|replaced) /.test(step)).length >= times
    }

    report() {
      const stats = this.#stats
      const of = type => stats.filter(stat => stat.type === type)
      const name = id => {
        const { candidateType, address, port, relayProtocol, url } = stats.find(stat => stat.id === id) ?? {}
        return `${candidateType} ${address}:${port} ${relayProtocol ?? ''} ${url ?? ''}`
      }
      const checks = ({ requestsSent, responsesReceived, requestsReceived, responsesSent }) =>
        `${requestsSent} checks sent ${responsesReceived} answered, ${requestsReceived} received ${responsesSent} answered`
      return [
        `state ${this.#peer?.state} opened ${this.#opened} told ${this.#told}`,
        ...of('candidate-pair').map(pair =>
          `${pair.state}${pair.nominated ? ' nominated' : ''} ${name(pair.localCandidateId)} -> ${name(pair.remoteCandidateId)} (${checks(pair)})`),
        // Among them what each network is said to cost, which goes before priority.
        ...(this.#peer?.connection.remoteDescription?.sdp.match(/^a=candidate:.*$/gm) ?? []),
        ...this.#steps.filter(step => !step.includes('candidate-') || step.includes('error')).slice(-40),
      ].join('\n')
    }

    leave() {
      clearInterval(this.#refreshing)
      globalThis.lab.rooms.delete(this.#room.id)
      return this.#room.leave()
    }
  }

  globalThis.lab = {
    rooms: new Map(),
    async join(id, options) {
      const { join } = await import('/switchboard.js')
      this.rooms.set(id, new Pair(await join(id, options)))
    },
  }
}

//! The connection test: tries every way by which a page connects, one after the other, and says what came of it in one
//! sentence. It enters a room of its own to get the ICE servers that any page gets.

import { copyFrom } from './clipboard.js'
import { Check } from './diagnostics-view.js'
import { echo, gather, tellsErrors } from './diagnostics-ice.js'
import { report } from './diagnostics-report.js'
import { enterServer } from './diagnostics-server.js'
import { addressOutcome, MAPPINGS, mappingOf, milliseconds, relayOutcome, stunAnswers, stunOutcome, verdict, wayOf } from './diagnostics-verdict.js'
import { byId, setText } from './dom.js'
import { standing, standingWords } from './server-up.js'

/**
 * @typedef {import('./diagnostics-verdict.js').Findings} Findings
 * @typedef {import('./diagnostics-ice.js').Found} Found
 * @typedef {{ url: string, server: RTCIceServer }} Named  One URL, with its credentials.
 */

/** Side by side; more would only measure each other. */
const AT_ONCE = 3
/** An operator names a handful; past these a test would take too long. */
const TESTED = 12

const list = byId('checks', HTMLElement)
const bar = byId('bar', HTMLProgressElement)
const sentence = byId('verdict', HTMLElement)
const card = byId('verdict-card', HTMLElement)
const whole = byId('whole', HTMLInputElement)
const text = byId('report', HTMLTextAreaElement)
const copy = byId('copy', HTMLButtonElement)
const again = byId('again', HTMLButtonElement)

/** @type {Check[]} */
let checks = []
let head = { at: new Date(), origin: location.origin, browser: navigator.userAgent, server: '', verdict: '' }

whole.addEventListener('change', () => {
  for (const check of checks) check.reveal(whole.checked)
  writeReport()
})
copy.addEventListener('click', async () => {
  setText(copy, await copyFrom(text) ? 'Copied' : 'Press Ctrl+C')
  setTimeout(() => setText(copy, 'Copy the report'), 2500)
})
again.addEventListener('click', () => void run())
void run()

async function run() {
  again.disabled = copy.disabled = true
  bar.hidden = false
  checks = []
  list.replaceChildren()
  card.dataset['tone'] = 'running'
  setText(sentence, 'Testing your connection…')
  /** @type {Findings} */
  const findings = { webrtc: 'works', socketFault: null, standing: 'down', stun: [], relays: [], mapping: 'unknown' }
  head = { ...head, at: new Date(), server: '' }
  await runChecks(findings)
  const { tone, text } = verdict(findings)
  head.verdict = text
  card.dataset['tone'] = tone
  setText(sentence, text)
  bar.hidden = true
  again.disabled = copy.disabled = false
  writeReport()
}

/** @param {Findings} findings */
async function runChecks(findings) {
  const browser = addCheck('This browser', 'Whether it offers WebRTC, and which addresses it names.')
  const server = addCheck('The server', 'It introduces people to each other, over a WebSocket.', location.host)
  if (typeof RTCPeerConnection !== 'function') {
    findings.webrtc = 'missing'
    browser.tell({ tone: 'bad', text: 'There is no WebRTC here.' })
  } else await checkBrowser(browser, findings)
  const entrance = await checkServer(server, findings)
  if (!entrance) return
  if (findings.webrtc === 'works') await checkServers(entrance.iceServers.flatMap(single).slice(0, TESTED), findings)
  entrance.leave()
}

/** @param {Check} check @param {Findings} findings */
async function checkBrowser(check, findings) {
  check.running()
  try {
    const { blocked, ...outcome } = addressOutcome(await gather([], found => check.add(found)))
    if (blocked) findings.webrtc = 'blocked'
    check.tell(outcome)
  } catch (error) {
    findings.webrtc = 'blocked'
    check.tell({ tone: 'bad', text: `The browser makes no connection: ${String(error)}.` })
  }
}

/** @param {Check} check @param {Findings} findings */
async function checkServer(check, findings) {
  check.running()
  try {
    const entrance = await enterServer(location.origin)
    head.server = entrance.server
    check.tell({ tone: 'ok', text: `It opened after ${milliseconds(entrance.openMs)}; a message there and back took ${milliseconds(entrance.echoMs)}.` })
    return entrance
  } catch (error) {
    findings.socketFault = error instanceof Error ? error.message : String(error)
    findings.standing = await standing(location.origin)
    check.tell({ tone: 'bad', text: [findings.socketFault, standingWords(findings.standing)].filter(Boolean).join(' ') })
    return null
  }
}

/** @param {Named[]} named @param {Findings} findings */
async function checkServers(named, findings) {
  const stun = named.filter(({ url }) => /^stuns?:/i.test(url))
  const relays = named.filter(({ url }) => /^turns?:/i.test(url))
  /** @type {Map<string, Found[]>} */
  const alone = new Map()
  const tasks = [...stun.map(one => checkStun(one, findings, alone)), ...relays.map(one => checkRelay(one, findings))]
  if (stun.length === 0) addCheck('STUN', 'Tells you your public address.').tell({ tone: 'none', text: 'This server names no STUN server.' })
  if (relays.length === 0) {
    addCheck('Relay (TURN)', 'Carries the packets where nothing else gets through.').tell({ tone: 'none', text: 'This server names no relay: whoever cannot be reached directly cannot be reached, and your address cannot be hidden.' })
  }
  // It needs to know what each server says alone.
  await atOnce(AT_ONCE, tasks, checkMapping(stun, findings, alone))
}

/** @param {Named} one @param {Findings} findings @param {Map<string, Found[]>} alone  What each URL found, to be added to. */
function checkStun({ url, server }, findings, alone) {
  const check = addCheck('STUN', 'Tells you your public address.', url)
  return async () => {
    check.running()
    const gathered = await gather([server], found => { if (found.type === 'srflx') check.add(found) }, 'srflx')
    const answers = stunAnswers(gathered, tellsErrors())
    alone.set(url, gathered.candidates)
    findings.stun.push(answers)
    check.tell(stunOutcome(gathered, answers))
  }
}

/** @param {Named[]} stun @param {Findings} findings @param {Map<string, Found[]>} alone  What each URL found. */
function checkMapping(stun, findings, alone) {
  const hosts = new Map(stun.map(one => [one.url.replace(/^stuns?:/i, '').replace(/:\d+$/, ''), one]))
  const pair = [...hosts.values()].slice(0, 2)
  const check = addCheck('How your router maps ports', 'Whether others can answer to the port that STUN saw.')
  return async () => {
    check.running()
    if (pair.length === 2) {
      const { candidates } = await gather(pair.map(({ server }) => server), found => { if (found.type === 'srflx') check.add(found) })
      findings.mapping = mappingOf(candidates, pair.map(({ url }) => alone.get(url) ?? []))
    }
    check.tell(MAPPINGS[findings.mapping])
  }
}

/** @param {Named} one @param {Findings} findings */
function checkRelay({ url, server }, findings) {
  const way = wayOf(url)
  const check = addCheck(`Relay over ${way}`, 'Two ends in this page talk to each other through it.', url)
  return async () => {
    check.running()
    const echoed = await echo(server, found => check.add(found))
    findings.relays.push({ way, works: echoed.rttMs !== null, refused: echoed.refused })
    check.tell(relayOutcome(echoed))
  }
}

/** @param {string} title @param {string} about @param {string} [url] */
function addCheck(title, about, url) {
  const check = new Check(title, about, url)
  check.reveal(whole.checked)
  checks.push(check)
  list.append(check.row)
  return check
}

/** Does things, so many at once, and one after them. @param {number} many @param {(() => Promise<void>)[]} tasks @param {() => Promise<void>} last */
async function atOnce(many, tasks, last) {
  bar.max = tasks.length + 1
  bar.value = 0
  const waiting = [...tasks]
  await Promise.all(Array.from({ length: many }, async () => {
    for (let task = waiting.shift(); task; task = waiting.shift()) {
      await task()
      bar.value++
    }
  }))
  await last()
  bar.removeAttribute('value')
}

/** @param {RTCIceServer} server @returns {Named[]} */
const single = ({ urls, ...rest }) => [urls].flat().map(url => ({ url, server: { urls: url, ...rest } }))

function writeReport() {
  text.value = report(head, checks, whole.checked)
}

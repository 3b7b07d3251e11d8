// The messages of npm `peer` and ours, side by side: what the official client says in a real session is recorded and said again to both
// servers, word for word, and everything that they answer is compared, byte for byte.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import WebSocket from 'ws'
import { browsers, servePages } from './support/peerjs-pages.mjs'
import { startOriginal, startOurs } from './support/peerjs-server.mjs'

const SETTINGS = { expire: 1000, alive: 60_000 }
const ORIGIN = 'https://page.example'

/** Runs with both servers, fresh: whose id is whose is theirs to remember. */
async function beside(compare) {
  const [ours, original] = await Promise.all([startOurs(SETTINGS, ['--set', 'limits.messages_per_connection=0']), startOriginal(SETTINGS)])
  try {
    await compare(ours, original)
  } finally {
    await Promise.all([ours.stop(), original.stop()])
  }
}

/** A bare socket that keeps every text it hears, and how it ended. */
class Ear {
  heard = []
  #woken = () => {}

  constructor(server, query) {
    this.socket = new WebSocket(`${server.url.replace('http', 'ws')}/peerjs?${new URLSearchParams(query)}`, { perMessageDeflate: true })
    this.socket.on('message', (data, binary) => {
      this.heard.push(binary ? data : `${data}`)
      this.#woken()
    })
    this.ended = new Promise(resolve => this.socket.on('close', code => {
      resolve(code)
      this.#woken()
    }))
    this.socket.on('error', error => { this.failure = error })
  }

  static async open(server, id, token = 'token', key = 'peerjs') {
    const ear = new Ear(server, { key, id, token })
    await ear.until(() => ear.heard.length > 0)
    return ear
  }

  say(frame) { this.socket.send(frame) }

  async until(check) {
    const late = AbortSignal.timeout(20_000)
    while (!check()) {
      if (late.aborted) throw new Error(`waited in vain; heard\n${this.heard.join('\n')}`)
      await new Promise(resolve => {
        this.#woken = resolve
        late.addEventListener('abort', resolve, { once: true })
      })
    }
  }

  /** Waits until everything that was said so far has had its effect: what is sent to oneself comes after it. */
  async settled(id, mark) {
    this.say(JSON.stringify({ type: 'CANDIDATE', dst: id, payload: mark }))
    await this.until(() => this.heard.some(text => `${text}`.includes(mark)))
  }
}

/** A session of two real pages against the original: who said what, in the order of saying. */
async function recorded(version, browser) {
  const server = await startOriginal(SETTINGS)
  const pages = await servePages()
  const both = await browsers(pages.origin)
  try {
    const people = { ann: await both.visit(browser, version), ben: await both.visit(browser, version) }
    for (const page of Object.values(people)) {
      await page.run(() => {
        globalThis.said = []
        const Real = globalThis.WebSocket
        globalThis.WebSocket = class extends Real {
          send(data) {
            globalThis.said.push({ at: performance.timeOrigin + performance.now(), data })
            super.send(data)
          }
        }
      })
    }
    const { ann, ben } = people
    await ann.open(server, { id: 'ann' })
    await ben.open(server, { id: 'ben' })
    const number = await ann.connect('ben', { reliable: true, label: 'a label', metadata: { name: 'Žluťoučký 😀 "\\\n" \u2028', z: 1, a: [null, -1.5e-7, {}] } })
    await ann.heard('connection-open', { number })
    const back = await ben.connect('ann', { serialization: 'json' })
    await ben.heard('connection-open', { number: back })
    const call = await ann.run(id => globalThis.recorder.call(id), 'ben')
    await ann.heard('stream', { number: call })
    await ann.connect('nobody-here')
    await ann.heard('error', { name: 'peer-unavailable' })
    await ann.run(number => { globalThis.connections[number].close() }, number)
    const said = []
    for (const [who, page] of Object.entries(people)) said.push(...(await page.run(() => globalThis.said)).map(({ at, data }) => ({ at, who, data })))
    await Promise.all([ann.dispose(), ben.dispose()])
    return said.sort((a, b) => a.at - b.at)
  } finally {
    await both.close()
    pages.close()
    await server.stop()
  }
}

/** What was heard, by its sender. */
function bySource(heard) {
  const told = {}
  for (const text of heard) (told[JSON.parse(text).src ?? 'server'] ??= []).push(text)
  return told
}

/** What no page says, and the original understands all the same. */
const UNUSUAL = [
  { type: 'HEARTBEAT' }, { type: 'LEAVE', dst: 'ben' }, { type: 'EXPIRE', dst: 'ben' }, { type: 'LEAVE', dst: 'nobody' }, { type: 'EXPIRE', dst: 'nobody' },
  { type: 'OFFER', dst: 'ben' }, { type: 'OFFER', dst: 'ben', payload: null }, { type: 'OFFER', dst: 'ben', payload: [1, { b: 1, a: 2 }], extra: 1, src: 'forged' },
  { dst: 'ben', payload: 'a text', type: 'ANSWER' }, { type: 'OFFER', dst: 'ann', payload: 'to oneself' }, { type: 'OFFER' }, { type: 'OFFER', dst: '' },
  { type: 'OFFER', dst: null }, { type: 'OPEN', dst: 'ben' }, { type: 'ID-TAKEN', dst: 'ben' }, { type: 'offer', dst: 'ben' }, { type: 7, dst: 'ben' }, {},
].map(message => JSON.stringify(message))
UNUSUAL.push('  {"type" : "OFFER", "dst":"ben","payload":"\\u0041\\u2028"}'.replace('\\u0041\\u2028', 'A'), '{"type":"OFFER","dst":"x","dst":"ben","payload":1,"payload":2}')

/** Says it all to one server; gives what each heard, of each sender in order. */
async function replay(server, said) {
  const people = { ann: await Ear.open(server, 'ann'), ben: await Ear.open(server, 'ben') }
  for (const [index, { who, data }] of said.entries()) {
    people[who].say(data)
    // The next may be somebody else's word on this one.
    if (said[index + 1]?.who !== who) await people[who].settled(who, `mark-${index}`)
  }
  const expires = ({ heard }) => heard.filter(text => text.includes('"EXPIRE"') && text.includes('nobody')).length
  if (said.some(({ data }) => data.includes('"dst":"nobody-here"'))) await people.ann.until(() => expires(people.ann) > 0)
  for (const [who, ear] of Object.entries(people)) await ear.settled(who, `end-of-${who}`)
  const told = Object.fromEntries(Object.entries(people).map(([who, { heard }]) => [who, bySource(heard.filter(text => !/"payload":"mark-/.test(text)))]))
  for (const { socket, ended } of Object.values(people)) {
    socket.close()
    await ended
  }
  return told
}

for (const [browser, version] of [['Chromium', '1.5'], ['Firefox', '1.5'], ['Chromium', '1.3'], ['Chromium', '2.0']]) {
  test(`a session of PeerJS ${version} in ${browser} hears the same of both servers, byte for byte`, async () => {
    const said = await recorded(version, browser)
    const kinds = new Set(said.map(({ data }) => JSON.parse(data).type))
    for (const kind of ['OFFER', 'ANSWER', 'CANDIDATE']) assert.ok(kinds.has(kind), `${kind} was said`)
    assert.ok(said.length > 10, `${said.length} messages`)
    await beside(async (ours, original) => {
      const [theirs, mine] = [await replay(original, said), await replay(ours, said)]
      assert.ok(theirs.ann.ben.length > 3 && theirs.ben.ann.length > 3)
      assert.equal(theirs.ann['nobody-here'].length, 1, 'what expired')
      assert.deepEqual(mine, theirs)
    })
  })
}

test('what is unusual hears the same of both servers', () => beside(async (ours, original) => {
  const said = UNUSUAL.map(data => ({ who: 'ann', data }))
  const [theirs, mine] = [await replay(original, said), await replay(ours, said)]
  // Payloads pass us as they were written; the original writes them anew. They mean the same.
  const read = told => Object.fromEntries(Object.entries(told).map(([who, by]) => [who, Object.fromEntries(Object.entries(by).map(([from, texts]) => [from, texts.map(text => JSON.parse(text))]))]))
  const keys = told => Object.values(told).flatMap(by => Object.values(by).flat()).map(text => Object.keys(JSON.parse(text)))
  assert.ok(theirs.ben.ann.length >= 7, `${theirs.ben.ann}`)
  assert.deepEqual(read(mine), read(theirs))
  assert.deepEqual(keys(mine), keys(theirs), 'the order of members')
}))

test('who is not served hears the same of both servers', () => beside(async (ours, original) => {
  const refused = async server => {
    const holder = await Ear.open(server, 'taken', 'mine')
    const told = []
    for (const query of [{}, { id: 'a', token: 't' }, { key: 'peerjs', id: '', token: 't' }, { key: 'wrong', id: 'a', token: 't' }, { key: 'peerjs', id: 'taken', token: 'another' }]) {
      const ear = new Ear(server, query)
      const code = await ear.ended
      told.push({ query, heard: ear.heard, code, extensions: ear.socket.extensions })
    }
    const waiting = await Ear.open(server, 'first')
    waiting.say(JSON.stringify({ type: 'OFFER', dst: 'late', payload: 1 }))
    waiting.say(JSON.stringify({ type: 'CANDIDATE', dst: 'late', payload: 2 }))
    await waiting.settled('first', 'sent')
    const late = await Ear.open(server, 'late')
    await late.until(() => late.heard.length === 3)
    told.push(late.heard)
    for (const { socket, ended } of [holder, waiting, late]) {
      socket.close()
      await ended
    }
    return told
  }
  assert.deepEqual(await refused(ours), await refused(original))
}))

test('pages read the same of both servers over HTTP', () => beside(async (ours, original) => {
  const read = async (server, path, init) => {
    const response = await fetch(`${server.url}${path}`, init)
    const cors = Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('access-control-')))
    const vary = (response.headers.get('vary') ?? '').split(/, */).sort()
    const body = await response.text()
    return { path, status: response.status, type: response.headers.get('content-type'), vary, cors, body: /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(body) ? 'a UUID' : body }
  }
  const headers = { origin: ORIGIN }
  const preflight = { method: 'OPTIONS', headers: { ...headers, 'access-control-request-method': 'GET', 'access-control-request-headers': 'x-a' } }
  for (const [path, init] of [['/peerjs/id?ts=1', { headers }], ['/wrong/id', { headers }], ['/peerjs/id', {}], ['/peerjs/peers', { headers }], ['/peerjs/id', preflight]]) {
    assert.deepEqual(await read(ours, path, init), await read(original, path, init), path)
  }
  const [mine, theirs] = await Promise.all([startOurs({ path: '/my/app', discovery: true }), startOriginal({ path: '/my/app', discovery: true })])
  try {
    for (const path of ['/my/app', '/my/app/', '/my/app/peerjs/id', '/my/app/peerjs/peers']) {
      assert.deepEqual(await read(mine, path, { headers }), await read(theirs, path, { headers }), path)
    }
    const ids = async server => {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/my/app/peerjs?key=peerjs&id=one&token=t`)
      await once(socket, 'message')
      const listed = await read(server, '/my/app/peerjs/peers', { headers })
      socket.close()
      await once(socket, 'close')
      return listed
    }
    assert.deepEqual(await ids(mine), await ids(theirs))
  } finally {
    await Promise.all([mine.stop(), theirs.stop()])
  }
}))

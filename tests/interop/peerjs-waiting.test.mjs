// What waits for a PeerJS client that is briefly away, with bare sockets: a page cannot make forty callers. PEERJS_REFERENCE=1 runs
// what the original can do against npm `peer`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import WebSocket from 'ws'
import { REFERENCE, start } from './support/peerjs-server.mjs'

const OFFER = 'o'.repeat(3000)
const CANDIDATE = 'c'.repeat(250)
const CANDIDATES = 12

/** A client that keeps all it hears. */
class Client {
  heard = []
  #woken = () => {}

  static async open({ url }, id, address) {
    const client = new Client()
    client.id = id
    const query = new URLSearchParams({ key: 'peerjs', id, token: id })
    const headers = address ? { 'X-Forwarded-For': address } : {}
    client.socket = new WebSocket(`${url.replace('http', 'ws')}/peerjs?${query}`, { headers })
    client.socket.on('message', data => {
      client.heard.push(JSON.parse(data))
      client.#woken()
    })
    client.socket.on('close', code => { client.ended = code; client.#woken() })
    await client.until(() => client.of('OPEN').length === 1)
    return client
  }

  of(type) { return this.heard.filter(message => message.type === type) }

  say(type, dst, payload) { this.socket.send(JSON.stringify({ type, dst, payload })) }

  call(dst) {
    this.say('OFFER', dst, OFFER)
    for (let number = 0; number < CANDIDATES; number += 1) this.say('CANDIDATE', dst, `${CANDIDATE}${number}`)
  }

  /** Waits until the server has acted on all that was said: what is sent to oneself comes after it. */
  async said() {
    this.say('OFFER', this.id, 'done')
    await this.until(() => this.heard.some(({ src, payload }) => src === this.id && payload === 'done'))
  }

  async until(check) {
    let late = false
    const alarm = setTimeout(() => { late = true; this.#woken() }, 20_000)
    try {
      while (!check()) {
        assert.equal(this.ended, undefined, `${this.id} was closed`)
        assert(!late, `${this.id} waited in vain; it heard ${this.heard.map(({ type, src }) => `${type} of ${src}`).join(', ')}`)
        await new Promise(resolve => { this.#woken = resolve })
      }
    } finally {
      clearTimeout(alarm)
    }
  }
}

async function scene(flags, play) {
  const server = await start({ expire: 20_000 }, flags)
  const clients = []
  try {
    await play(async (id, address) => {
      const client = await Client.open(server, id, address)
      clients.push(client)
      return client
    })
  } finally {
    for (const { socket } of clients) socket.terminate()
    await server.stop()
  }
}

const settings = [['one address', () => undefined, []], ['forty addresses', number => `203.0.113.${number}`, []],
  // What waits is many times what may be queued for the host.
  ['one address, where little may be queued for a client', () => undefined, ['--set', 'limits.queue_bytes=64KiB']]]
for (const [name, address, flags] of settings) {
  test(`a host that is briefly away loses none of forty callers of ${name}`, { skip: REFERENCE && flags.length > 0 && 'the original has no such setting' }, () => scene(flags, async open => {
    const guests = await Promise.all(Array.from({ length: 40 }, (_, number) => open(`guest${number}`, address(number))))
    for (const guest of guests) guest.call('host')
    await Promise.all(guests.map(guest => guest.said()))
    const host = await open('host')
    await host.until(() => host.of('CANDIDATE').length === guests.length * CANDIDATES)
    for (const { id, heard } of guests) {
      assert.deepEqual(heard.filter(({ type }) => type === 'EXPIRE'), [], id)
      const [first, ...rest] = host.heard.filter(({ src }) => src === id)
      assert.deepEqual([first.type, first.payload], ['OFFER', OFFER])
      assert.deepEqual(rest.map(({ payload }) => payload), Array.from({ length: CANDIDATES }, (_, number) => `${CANDIDATE}${number}`))
    }
    guests[0].say('OFFER', 'host', 'and now at once')
    await host.until(() => host.heard.at(-1).payload === 'and now at once')
  }))
}

test('a host that reads nothing for a while gets all that waited, and what came meanwhile after it', () => scene([], async open => {
  const guests = await Promise.all(Array.from({ length: 30 }, (_, number) => open(`guest${number}`)))
  const long = 'o'.repeat(60_000)
  for (const guest of guests) guest.say('OFFER', 'host', long)
  await Promise.all(guests.map(guest => guest.said()))
  const host = await open('host')
  host.socket.pause()
  for (const guest of guests) guest.say('CANDIDATE', 'host', guest.id)
  await Promise.all(guests.map(guest => guest.said()))
  host.socket.resume()
  await host.until(() => host.of('CANDIDATE').length === guests.length)
  for (const { id } of guests) assert.deepEqual(host.heard.filter(({ src }) => src === id).map(({ payload }) => payload), [long, id])
}))

test('strangers who fill what waits for a host do not keep others from it', { skip: REFERENCE && 'there it has no limit' }, () => scene([], async open => {
  const strangers = await Promise.all(Array.from({ length: 40 }, (_, number) => open(`stranger${number}`, '198.51.100.66')))
  const honest = await open('honest', '203.0.113.1')
  const flood = 'z'.repeat(60_000)
  for (const stranger of strangers) for (const _ of [1, 2]) stranger.say('OFFER', 'host', flood)
  await Promise.all(strangers.map(stranger => stranger.said()))
  assert(strangers.some(stranger => stranger.of('EXPIRE').length > 0), 'it is full')
  honest.call('host')
  await honest.said()
  assert.deepEqual(honest.of('EXPIRE'), [])
  const host = await open('host')
  await host.until(() => host.heard.filter(({ src }) => src === 'honest').length === 1 + CANDIDATES)
  assert(host.of('OFFER').length > 30, 'the rest arrives as well')
}))

test('what found no room leaves no gap', { skip: REFERENCE && 'there it has no limit' }, () => scene(['--set', 'limits.burst_per_connection=2000'], async open => {
  const ann = await open('ann')
  for (let number = 0; number < 300; number += 1) ann.say('CANDIDATE', 'ben', number)
  await ann.said()
  assert(ann.of('EXPIRE').length > 0)
  const ben = await open('ben')
  ann.say('OFFER', 'ben', 'again')
  await ben.until(() => ben.heard.length > 1)
  assert.deepEqual(ben.heard.slice(1), [{ type: 'OFFER', src: 'ann', dst: 'ben', payload: 'again' }])
}))

// The rooms sample's protocol with its official clients, unchanged: four generations, each by WebSocket, by polling, and
// by polling with the move to a WebSocket. With SOCKETIO_REFERENCE=1 the same tests run against the official server.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startServer } from '../browser/support/server.mjs'
import { Client, KINDS, REFERENCE, UNHURRIED, inTime, start } from './support/clients.mjs'

const ROOM_ID = /^[A-Za-z0-9_-]{10}$/
const PEER_ID = /^[A-Za-z0-9_-]{20}$/

/** The original garbles characters beyond ASCII between version 1 on polling and anything else. */
const TEXT = REFERENCE ? 'plain' : 'Žluťoučký 😀 é \u2028'

/** What a browser sends, with all that a relay could harm: the order of keys, characters beyond ASCII, line breaks. */
const OFFER = { type: 'offer', sdp: `v=0\r\no=- 46 2 IN IP4 127.0.0.1\r\ns=${TEXT} "\\n"\r\n`, z: 1, a: [null, true, -1.5e-7, {}] }
const CANDIDATE = { candidate: 'candidate:1 1 udp 2113937151 fd00::1 54321 typ host', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'aB+/' }

let server
before(async () => { server = await start(UNHURRIED) })
after(async () => { await server?.stop() })

/** Two clients in one room. */
async function pair(kind, other = kind) {
  const [ann, ben] = await Promise.all([Client.connect(server.url, kind), Client.connect(server.url, other)])
  const room = await ann.room()
  ben.say('join-room', room)
  assert.deepEqual(await ann.next(), ['new-user-joined', ben.id])
  return { ann, ben, room }
}

const leave = (...clients) => clients.forEach(client => client.leave())

describe('each client on each transport', { concurrency: false }, () => {
  for (const kind of KINDS) {
    test(`${kind.name}: the whole negotiation`, async () => {
      const ann = new Client(server.url, kind)
      // Before it is connected, as the sample's page does.
      ann.say('create-room')
      const [created, room] = await ann.next()
      assert.equal(created, 'room-created')
      assert.match(room, ROOM_ID)
      assert.match(ann.id, PEER_ID)
      const ben = new Client(server.url, kind)
      ben.say('join-room', room)
      const [joined, benId] = await ann.next()
      assert.equal(joined, 'new-user-joined')
      await ben.connected()
      assert.equal(benId, ben.id)

      ann.say('rtc-offer', ben.id, OFFER)
      const [, from, offer] = await ben.next()
      assert.equal(from, ann.id)
      assert.equal(JSON.stringify(offer), JSON.stringify(OFFER))
      ben.say('rtc-answer', ann.id, { ...OFFER, type: 'answer' })
      assert.deepEqual(await ann.next(), ['rtc-answer', ben.id, { ...OFFER, type: 'answer' }])
      for (const candidate of [CANDIDATE, { candidate: '' }, null]) {
        ann.say('ice-candidate', ben.id, candidate)
        assert.deepEqual(await ben.next(), ['ice-candidate', ann.id, candidate])
        ben.say('ice-candidate', ann.id, candidate)
        assert.deepEqual(await ann.next(), ['ice-candidate', ben.id, candidate])
      }

      const cid = await Client.connect(server.url, kind)
      cid.say('join-room', room)
      assert.deepEqual(await ann.next(), ['new-user-joined', cid.id])
      assert.deepEqual(await ben.next(), ['new-user-joined', cid.id])
      await Promise.all([ann, ben, cid].map(client => inTime(client.upgraded, 'the WebSocket')))
      cid.leave()
      assert.deepEqual(await ann.next(), ['user-disconnected', cid.id])
      assert.deepEqual(await ben.next(), ['user-disconnected', cid.id])
      assert.deepEqual([ann.rest, ben.rest, cid.rest], [[], [], []])
      const way = kind.way === 'polling' ? 'polling' : 'websocket'
      assert.deepEqual([ann.engine.transport.name, ben.engine.transport.name], [way, way])
      leave(ann, ben)
    })

    test(`${kind.name}: what the sample does with the unusual`, async () => {
      const { ann, ben, room } = await pair(kind)
      ben.say('join-room', room)
      assert.deepEqual(await ann.next(), ['new-user-joined', ben.id], 'a second join is told again')
      const rooms = new Set([room])
      for (const args of [['zzzzzzzzzz'], [], [null], [1234567890], ['']]) {
        ben.say('join-room', ...args)
        const [created, id] = await ben.next()
        assert.equal(created, 'room-created', `join-room ${args}`)
        assert.match(id, ROOM_ID)
        rooms.add(id)
      }
      assert.equal(rooms.size, 6, 'each room is new')
      // None of these is heard by anybody: the next that Ann hears is the last.
      ben.say('rtc-offer', 'AAAAAAAAAAAAAAAAAAAA', OFFER)
      ben.say('rtc-offer', ben.id, OFFER)
      ben.say('rtc-offer')
      ben.say('rtc-offer', null, OFFER)
      ben.say('an-event-of-another-program', { a: 1 })
      ben.say('ice-candidate', ann.id)
      assert.deepEqual(await ann.next(), ['ice-candidate', ben.id, null], 'a missing payload is null')
      ben.say('ice-candidate', ann.id, CANDIDATE, 'more', 5)
      assert.deepEqual(await ann.next(), ['ice-candidate', ben.id, CANDIDATE], 'further arguments are dropped')
      ann.say('ice-candidate', ben.id, 'a string')
      assert.deepEqual(await ben.next(), ['ice-candidate', ann.id, 'a string'])
      leave(ben)
      assert.deepEqual(await ann.next(), ['user-disconnected', ben.id], 'once, for the one room that they share')
      assert.deepEqual([ann.rest, ben.rest], [[], []])
      leave(ann)
    })
  }
})

/** Sends numbered candidates bit by bit, so that they meet the move to a WebSocket wherever it is. */
async function count(client, to, until) {
  for (let number = 0; number < until;) {
    for (const end = Math.min(number + 10, until); number < end; number++) client.say('ice-candidate', to, { candidate: `${number}`, padding: 'x'.repeat(60) })
    await new Promise(resolve => { setImmediate(resolve) })
  }
}

/** Hears numbers from others, each of theirs in order. */
async function hear(client, others, until) {
  const next = new Map(others.map(other => [other, 0]))
  for (let left = others.length * until; left > 0; left--) {
    const [name, from, { candidate } = {}] = await client.next()
    assert.equal(name, 'ice-candidate')
    assert.equal(candidate, `${next.get(from)}`, `${client.name}: the next number of ${from}`)
    next.set(from, next.get(from) + 1)
  }
}

describe('order under load', { concurrency: false }, () => {
  const [PAIRS, NUMBERS] = [8, 500]
  for (const kind of KINDS) {
    test(`${kind.name}: ${PAIRS} pairs, ${NUMBERS} candidates each way`, async () => {
      let early = 0
      await Promise.all(Array.from({ length: PAIRS }, async () => {
        const ann = new Client(server.url, kind)
        const ben = new Client(server.url, kind)
        const room = await ann.room()
        ben.say('join-room', room)
        const [, benId] = await ann.next()
        await ben.connected()
        if (ann.engine.transport.name === 'polling') early++
        await Promise.all([
          count(ann, benId, NUMBERS), count(ben, ann.id, NUMBERS), hear(ann, [benId], NUMBERS), hear(ben, [ann.id], NUMBERS),
          inTime(ann.upgraded, 'the WebSocket'), inTime(ben.upgraded, 'the WebSocket'),
        ])
        assert.deepEqual([ann.rest, ben.rest], [[], []])
        leave(ann, ben)
      }))
      if (kind.way === 'polling') assert.equal(early, PAIRS)
    })
  }

  test('candidates that are on their way before the WebSocket is asked for arrive in order', async () => {
    for (const kind of KINDS.filter(({ way }) => way === 'upgrade')) {
      const ben = await Client.connect(server.url, { ...kind, way: 'websocket' })
      const room = await ben.room()
      const ann = new Client(server.url, kind)
      ann.say('join-room', room)
      // These wait in the client and go out by polling with the connection's first request.
      for (let number = 0; number < 50; number++) ann.say('ice-candidate', ben.id, { candidate: `${number}` })
      const moved = inTime(ann.upgraded, 'the WebSocket')
      const [, annId] = await ben.next()
      const heard = hear(ben, [annId], 50)
      await moved
      await heard
      leave(ann, ben)
    }
  })

  test('all clients in one room understand each other', async () => {
    const all = await Promise.all(KINDS.map(kind => Client.connect(server.url, kind)))
    const [first, ...others] = all
    const room = await first.room()
    for (const [index, joiner] of others.entries()) {
      joiner.say('join-room', room)
      for (const member of all.slice(0, index + 1)) assert.deepEqual(await member.next(), ['new-user-joined', joiner.id])
    }
    const rest = client => all.filter(other => other !== client)
    await Promise.all(all.flatMap(client => [
      ...rest(client).map(other => count(client, other.id, 20)),
      hear(client, rest(client).map(other => other.id), 20),
    ]))
    first.say('rtc-offer', others[0].id, OFFER)
    for (const client of others) {
      first.say('rtc-offer', client.id, OFFER)
      const [name, from, offer] = await client.next()
      assert.deepEqual([name, from, JSON.stringify(offer)], ['rtc-offer', first.id, JSON.stringify(OFFER)], client.name)
    }
    leave(...all)
  })
})

describe('departures', { concurrency: true }, () => {
  for (const kind of KINDS) {
    test(`${kind.name}: a client whose process is killed is gone at once`, async () => {
      const ann = await Client.connect(server.url, { ...kind, way: 'websocket' })
      const room = await ann.room()
      const program = path.join(import.meta.dirname, 'support/mortal.mjs')
      const child = spawn(process.execPath, [program, server.url, room, JSON.stringify(kind)], { stdio: 'inherit' })
      try {
        const [, id] = await ann.next()
        // Its answer comes after it has asked for more, and after the WebSocket, if it wants one.
        ann.say('rtc-offer', id, {})
        assert.deepEqual(await ann.next(), ['rtc-answer', id, {}])
        child.kill('SIGKILL')
        assert.deepEqual(await ann.next(), ['user-disconnected', id])
      } finally {
        child.kill('SIGKILL')
      }
      leave(ann)
    })
  }

  test('every room of the one that leaves is told', async () => {
    const kind = KINDS.at(-1)
    const [ann, ben, cid] = await Promise.all([1, 2, 3].map(() => Client.connect(server.url, kind)))
    for (const owner of [ann, ben]) {
      const room = await owner.room()
      cid.say('join-room', room)
      assert.deepEqual(await owner.next(), ['new-user-joined', cid.id])
    }
    cid.leave()
    for (const owner of [ann, ben]) assert.deepEqual(await owner.next(), ['user-disconnected', cid.id])
    leave(ann, ben)
  })

  test('a room ends with its last member', async () => {
    const kind = KINDS[0]
    const { ann, ben, room } = await pair(kind)
    leave(ben)
    assert.deepEqual(await ann.next(), ['user-disconnected', ben.id])
    const cid = await Client.connect(server.url, kind)
    cid.say('join-room', room)
    assert.deepEqual(await ann.next(), ['new-user-joined', cid.id])
    leave(ann)
    assert.deepEqual((await cid.next())[0], 'user-disconnected')
    leave(cid)
  })
})

describe('where Switchboard differs knowingly', { skip: REFERENCE && 'the original does otherwise' }, () => {
  test('signals pass between members of one room only, and not to whole rooms', async () => {
    for (const kind of KINDS) {
      const { ann, ben, room } = await pair(kind)
      const stranger = await Client.connect(server.url, kind)
      const own = await stranger.room()
      assert.notEqual(own, room)
      stranger.say('rtc-offer', ann.id, OFFER)
      stranger.say('rtc-offer', `chat-room/${room}`, OFFER)
      ben.say('rtc-offer', `chat-room/${room}`, OFFER)
      stranger.say('join-room', room)
      assert.deepEqual(await ann.next(), ['new-user-joined', stranger.id], 'nothing before')
      stranger.say('rtc-offer', ann.id, OFFER)
      assert.deepEqual((await ann.next()).slice(0, 2), ['rtc-offer', stranger.id])
      leave(ann, ben, stranger)
    }
  })

  test('what the sample has no words for is said by an event that its pages ignore', async () => {
    const small = await startServer(0, ['--set', 'limits.room_members=2'])
    try {
      for (const kind of KINDS) {
        const [ann, ben, cid] = await Promise.all([1, 2, 3].map(() => Client.connect(small.url, kind)))
        const room = await ann.room()
        ben.say('join-room', room)
        await ann.next()
        cid.say('join-room', room)
        const [name, { code, message }] = await cid.next()
        assert.deepEqual([name, code], ['switchboard-error', 'room-full'])
        assert.match(message, /\.$/)
        leave(ann, ben, cid)
      }
    } finally {
      await small.stop()
    }
  })

  test('clients come back by themselves when the server restarts', async () => {
    const first = await startServer()
    const clients = await Promise.all(KINDS.map(kind => Client.connect(first.url, kind, { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 500 })))
    await Promise.all(clients.map(client => inTime(client.upgraded, 'the WebSocket')))
    const was = clients.map(client => client.id)
    const lost = clients.map(client => new Promise(resolve => { client.socket.once('disconnect', resolve) }))
    await first.stop()
    const reasons = await inTime(Promise.all(lost), 'all to notice')
    assert.deepEqual(reasons.filter(reason => reason === 'io server disconnect'), [], 'after this they would not come back')
    const second = await startServer(first.port)
    try {
      await Promise.all(clients.map(client => client.connected()))
      for (const [index, client] of clients.entries()) {
        assert.notEqual(client.id, was[index])
        assert.match(await client.room(), ROOM_ID)
      }
    } finally {
      leave(...clients)
      await second.stop()
    }
  })

  test('whoever sends faster than the limits is slowed down and loses nothing', async () => {
    const strict = await startServer(0, ['--set', 'limits.messages_per_connection=200', '--set', 'limits.burst_per_connection=50'])
    try {
      await Promise.all(KINDS.map(async kind => {
        const [ann, ben] = await Promise.all([1, 2].map(() => Client.connect(strict.url, kind)))
        const room = await ann.room()
        ben.say('join-room', room)
        await ann.next()
        await Promise.all([count(ben, ann.id, 400), hear(ann, [ben.id], 400)])
        leave(ann, ben)
      }))
    } finally {
      await strict.stop()
    }
  })
})

test('ids of Socket.IO and Engine.IO: the same with the old protocol, and secret from each other with the new', async () => {
  for (const kind of KINDS) {
    const client = await Client.connect(server.url, kind)
    assert.equal(client.engine.id === client.id, kind.generation < 3, client.name)
    client.leave()
  }
})

test('a namespace that there is not is refused by name, and the client stays where it is', async () => {
  for (const kind of KINDS) {
    const client = await Client.connect(server.url, kind)
    const other = client.socket.io.socket('/admin')
    const refused = new Promise(resolve => { other.on(kind.generation < 3 ? 'error' : 'connect_error', resolve) })
    other.connect()
    const error = await inTime(refused, 'the refusal')
    assert.match(error.message ?? error, /Invalid namespace/, client.name)
    assert.match(await client.room(), ROOM_ID)
    client.leave()
  }
})

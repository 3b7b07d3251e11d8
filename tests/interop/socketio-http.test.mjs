// The requests under the Socket.IO clients, by hand: statuses, bodies, and what ends a session. The official server passes too.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { REFERENCE, inTime, start } from './support/clients.mjs'

let server
before(async () => { server = await start() })
after(async () => { await server?.stop() })

const address = query => `${server.url}/socket.io/?${query}`

async function ask(query, { method = 'GET', body, type = 'text/plain;charset=UTF-8' } = {}) {
  const headers = body === undefined ? {} : { 'Content-Type': type }
  const response = await inTime(fetch(address(query), { method, body, headers }), `${method} ${query}`)
  return { status: response.status, type: response.headers.get('content-type'), cache: response.headers.get('cache-control'), body: await response.text() }
}

/** A polling session of version 4 that is in the namespace. */
async function session() {
  const opened = await ask('EIO=4&transport=polling')
  const { sid } = JSON.parse(opened.body.slice(1))
  const query = `EIO=4&transport=polling&sid=${sid}`
  const post = body => ask(query, { method: 'POST', body })
  const poll = () => ask(query)
  assert.equal((await post('40')).body, 'ok')
  const entered = await poll()
  assert.match(entered.body, /^40\{"sid":"[A-Za-z0-9_-]{20}"\}$/)
  return { sid, query, post, poll }
}

const event = body => JSON.parse(body.replace(/^42/, ''))

test('the handshake by polling', async () => {
  const { status, type, cache, body } = await ask('EIO=4&transport=polling&t=PGmVgKy')
  assert.deepEqual([status, type, cache], [200, 'text/plain; charset=UTF-8', 'no-store'])
  assert.match(body, /^0\{"sid":"[A-Za-z0-9_-]{20}","upgrades":\["websocket"\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}$/)
})

test('the handshake of the old protocol, with its lengths, and a connect that nobody asked for', async () => {
  const opened = await ask('EIO=3&transport=polling&b64=1')
  const [, length, packet] = /^(\d+):(.*)$/s.exec(opened.body)
  assert.equal(Number(length), packet.length)
  const { sid } = JSON.parse(packet.slice(1))
  const query = `EIO=3&transport=polling&b64=1&sid=${sid}`
  assert.equal((await ask(query)).body, '2:40')
  const body = '42["create-room"]'
  assert.equal((await ask(query, { method: 'POST', body: `1:2${body.length}:${body}` })).body, 'ok')
  let heard = ''
  while (!heard.includes('room-created')) heard += (await ask(query)).body
  assert.match(heard, /^1:3\d+:42\["room-created","[A-Za-z0-9_-]{10}"\]$/)
})

test('refusals, each with its number', async () => {
  const refused = async (query, options) => {
    const { status, type, body } = await ask(query, options)
    assert.equal(type, 'application/json')
    return [status, JSON.parse(body)]
  }
  const is = (code, message) => [400, { code, message }]
  assert.deepEqual(await refused(''), is(0, 'Transport unknown'))
  assert.deepEqual(await refused('EIO=4&transport=pigeon'), is(0, 'Transport unknown'))
  for (const options of [{}, { method: 'POST', body: '40' }]) {
    assert.deepEqual(await refused('EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA', options), is(1, 'Session ID unknown'))
  }
  assert.deepEqual(await refused('EIO=4&transport=polling', { method: 'POST', body: '40' }), is(2, 'Bad handshake method'))
  assert.deepEqual(await refused('EIO=4&transport=polling', { method: 'OPTIONS' }), is(2, 'Bad handshake method'))
  assert.deepEqual(await refused('EIO=4&transport=websocket'), is(3, 'Bad request'))
  // An original that admits version 3 takes every other number for it.
  if (!REFERENCE) assert.deepEqual(await refused('EIO=5&transport=polling'), is(5, 'Unsupported protocol version'))
})

test('two GETs at a time end the session: the second is refused, the first hears of it', async () => {
  const one = await session()
  const first = one.poll()
  await one.post('3')
  assert.equal((await one.poll()).status, 400)
  const { status, body } = await first
  assert.deepEqual([status, body], [200, '1'])
  assert.equal(JSON.parse((await one.poll()).body).code, 1)
})

test('a close packet by POST releases the GET that waits', async () => {
  const one = await session()
  const parked = one.poll()
  await one.post('3')
  assert.equal((await one.post('1')).body, 'ok')
  assert.equal((await parked).body, '6')
  assert.equal(JSON.parse((await one.poll()).body).code, 1)
})

test('packets of one body are acted on in order, and answered together or one by one', async () => {
  const one = await session()
  await one.post(Array(5).fill('42["create-room"]').join('\x1e'))
  const packets = []
  while (packets.length < 5) packets.push(...(await one.poll()).body.split('\x1e'))
  assert.equal(new Set(packets.map(packet => event(packet)[1])).size, 5)
})

test('a body of more than a million bytes is refused', async () => {
  const one = await session()
  const { status } = await one.post(`42["create-room","${'x'.repeat(1_000_000)}"]`)
  assert.equal(status, 413)
})

test('malformed packets end their session and no other', async () => {
  const neighbour = await session()
  for (const garbage of ['garbage', '42{bad', '42["connect"]', '40', '2', '4']) {
    const one = await session()
    await one.post(garbage)
    let next = await one.poll()
    // Where the packet is Socket.IO's and not Engine.IO's, the original says goodbye first.
    if (next.status === 200 && next.body.endsWith('1')) next = await one.poll()
    assert.equal(next.status, 400, `${garbage}: ${next.body}`)
    assert.equal(JSON.parse(next.body).code, 1, garbage)
  }
  await neighbour.post('42["create-room"]')
  assert.equal(event((await neighbour.poll()).body)[0], 'room-created')
})

test('a namespace that there is not', async () => {
  const one = await session()
  await one.post('40/admin,')
  assert.equal((await one.poll()).body, '44/admin,{"message":"Invalid namespace"}')
})

/** Opens a WebSocket and keeps what it hears. */
async function socket(query) {
  const ws = new WebSocket(address(query).replace('http', 'ws'))
  const heard = []
  let more = () => {}
  ws.on('message', data => { heard.push(`${data}`); more() })
  await inTime(once(ws, 'open'), 'the WebSocket')
  const next = async () => {
    while (heard.length === 0) await inTime(new Promise(resolve => { more = resolve }), 'a frame')
    return heard.shift()
  }
  return { ws, next }
}

test('the move to a WebSocket releases the GET that waits, and what comes later comes there', async () => {
  const one = await session()
  const parked = one.poll()
  await one.post('3')
  const { ws, next } = await socket(`EIO=4&transport=websocket&sid=${one.sid}`)
  ws.send('2probe')
  assert.equal(await next(), '3probe')
  assert.equal((await parked).body, '6')
  ws.send('5')
  ws.send('42["create-room"]')
  assert.equal(event(await next())[0], 'room-created')
  const late = await one.poll()
  assert.deepEqual([late.status, JSON.parse(late.body).code], [400, 3])
  ws.close()
})

test('a WebSocket that is lost while it proves itself costs nothing', async () => {
  const one = await session()
  const { ws, next } = await socket(`EIO=4&transport=websocket&sid=${one.sid}`)
  ws.send('2probe')
  assert.equal(await next(), '3probe')
  ws.terminate()
  await one.post('42["create-room"]')
  let { body } = await one.poll()
  if (body === '6') ({ body } = await one.poll())
  assert.equal(event(body)[0], 'room-created')
})

test('a session that begins as a WebSocket, and one that is none', async () => {
  const { ws, next } = await socket('EIO=4&transport=websocket')
  assert.match(await next(), /^0\{"sid":"[A-Za-z0-9_-]{20}","upgrades":\[\],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}$/)
  ws.send('40')
  assert.match(await next(), /^40\{"sid":"[A-Za-z0-9_-]{20}"\}$/)
  const closed = once(ws, 'close')
  ws.send('garbage')
  assert.equal((await inTime(closed, 'the end'))[0], 1005)
  const unknown = new WebSocket(address('EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA').replace('http', 'ws'))
  const [, response] = await inTime(once(unknown, 'unexpected-response'), 'the refusal')
  assert.equal(response.statusCode, 400)
  let body = ''
  for await (const part of response) body += part
  assert.match(body, /Session ID unknown/)
})

test('the client is not served', { skip: REFERENCE && 'the original serves it' }, async () => {
  const response = await fetch(`${server.url}/socket.io/socket.io.js`)
  assert.equal(response.status, 404)
  await response.text()
})

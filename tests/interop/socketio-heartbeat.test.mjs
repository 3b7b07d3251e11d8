// Each official client on each transport stays connected through real heartbeats, 25 seconds apart.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Client, KINDS, inTime, start } from './support/clients.mjs'

let server
before(async () => { server = await start() })
after(async () => { await server?.stop() })

test('a heartbeat on every client and transport, and the connection lives on', async () => {
  const clients = await Promise.all(KINDS.map(kind => Client.connect(server.url, kind)))
  await Promise.all(clients.map(client => inTime(client.upgraded, 'the WebSocket')))
  const lost = []
  for (const client of clients) client.socket.once('disconnect', reason => lost.push([client.name, reason]))
  // The server pings the new ones and answers the old ones.
  await Promise.all(clients.map((client, index) => {
    const sign = KINDS[index].generation < 3 ? 'pong' : 'ping'
    return inTime(new Promise(resolve => { client.engine.on('packet', ({ type }) => { if (type === sign) resolve() }) }), `a ${sign} for ${client.name}`)
  }))
  assert.deepEqual(lost, [])
  for (const client of clients) {
    assert.match(await client.room(), /^[A-Za-z0-9_-]{10}$/)
    client.leave()
  }
})

// A client in a process of its own, to be killed: joins a room and answers the first offer.
import { Client } from './clients.mjs'

const [url, room, kind] = process.argv.slice(2)
const client = new Client(url, JSON.parse(kind))
client.say('join-room', room)
await client.upgraded
const [, from] = await client.next()
client.say('rtc-answer', from, {})

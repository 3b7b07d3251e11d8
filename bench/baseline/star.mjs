// The signalling server of js-libp2p's webrtc-star transport, for the benches to compare with, as its command starts it.
//
// It ends when its standard input ends: a bench that dies leaves no server behind.

import { sigServer } from '@libp2p/webrtc-star-signalling-server'

const PORT = Number(process.env.PORT ?? 0)

const server = await sigServer({ host: '127.0.0.1', port: PORT, metrics: true })
console.log(`listening on http://127.0.0.1:${server.info.port}`)

process.stdin.on('end', () => process.exit(0)).resume()
process.on('SIGTERM', () => process.exit(0))

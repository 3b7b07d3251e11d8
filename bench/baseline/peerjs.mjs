// PeerServer from the peer package, for the benches to compare with: the library as its documentation starts it, with the
// limit of connections out of the way.
//
// It ends when its standard input ends: a bench that dies leaves no server behind.

import { PeerServer } from 'peer'

const PORT = Number(process.env.PORT ?? 0)

PeerServer({ host: '127.0.0.1', port: PORT, path: '/', concurrent_limit: 1_000_000 }, (server) =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
).on('error', (error) => console.error(`PeerServer: ${error.message}`))

process.stdin.on('end', () => process.exit(0)).resume()
process.on('SIGTERM', () => process.exit(0))

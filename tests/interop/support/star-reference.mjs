// The original webrtc-star server, in a process of its own, so that it can be killed; says which port it got.
import { sigServer } from '@libp2p/webrtc-star-signalling-server'

const { port, interval, host } = JSON.parse(process.argv[2])
const server = await sigServer({ port, host, refreshPeerListIntervalMS: interval })
console.log(server.info.port)

// Runs on the server's host: tells whoever asks by UDP from where it was asked, answering from the sockets that it is told to
// (RFC 5780 §3, without its encoding), and says "here" on TCP. Prints a line once it listens.
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'

/** Each address has these; the probe names a socket `address:port`. */
export const UDP_PORTS = [7001, 7002]

async function reflect(addresses, tcpPorts) {
  const sockets = new Map()
  for (const address of addresses) {
    for (const port of UDP_PORTS) {
      const socket = dgram.createSocket('udp4')
      socket.bind(port, address)
      await once(socket, 'listening')
      sockets.set(`${address}:${port}`, socket)
    }
    for (const port of tcpPorts) {
      const server = net.createServer(socket => socket.on('error', () => {}).end('here')).listen(port, address)
      await once(server, 'listening')
    }
  }
  for (const [name, socket] of sockets) {
    socket.on('message', (bytes, from) => {
      const { id, via = [name], shift = 0 } = JSON.parse(bytes)
      const seen = `${from.address}:${from.port}`
      for (const answering of via) {
        sockets.get(answering).send(JSON.stringify({ id, seen, from: answering }), from.port + shift, from.address)
      }
    })
  }
}

if (process.argv[1] === import.meta.filename) {
  const [addresses, tcpPorts] = process.argv.slice(2).map(list => list.split(','))
  await reflect(addresses, tcpPorts.map(Number))
  console.log('listening')
}

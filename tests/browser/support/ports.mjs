// Ports for programs that have to be told one, and cannot be asked which they took.
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'

/** More than this many ports in a row are never all taken. */
const TRIES = 100

/** A port that nobody has: over TCP and UDP, on all loopback addresses that tests use, and the one after it, which coturn's tools may take as well. */
export async function freePort() {
  for (let tries = 1; ; tries++) {
    const [first, ...others] = [listener(), listener(), socket('udp4'), socket('udp4'), socket('udp4'), socket('udp6')]
    try {
      const port = await first(0, '127.0.0.1')
      const wanted = [[port, '127.0.0.2'], [port, '127.0.0.1'], [port, '127.0.0.2'], [port + 1, '127.0.0.1'], [port, '::1']]
      for (const [index, [port, address]] of wanted.entries()) await others[index](port, address)
      return port
    } catch (cause) {
      if (cause.code !== 'EADDRINUSE' || tries === TRIES) throw new Error(`no port is free: ${cause.message}`, { cause })
    } finally {
      await Promise.all([first, ...others].map(taken => taken.close()))
    }
  }
}

/** Takes a port over TCP, and gives it back by `close`. */
function listener() {
  const server = net.createServer()
  return taker(server, (port, host) => server.listen({ port, host }))
}

/** The same over UDP. @param {'udp4' | 'udp6'} type */
function socket(type) {
  const socket = dgram.createSocket(type)
  return taker(socket, (port, address) => socket.bind({ port, address, exclusive: true }))
}

function taker(holder, bind) {
  const take = async (port, address) => {
    bind(port, address)
    await once(holder, 'listening')
    return holder.address().port
  }
  return Object.assign(take, { close: () => new Promise(resolve => holder.close(resolve)) })
}

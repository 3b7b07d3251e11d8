// A TCP proxy in front of the server whose connections can be cut without a word, as a network does.
import { once } from 'node:events'
import net from 'node:net'

/** @param {number} port  The server's. */
export async function cuttable(port) {
  /** @type {Set<net.Socket>} */
  const sockets = new Set()
  let whole = true
  /** @type {string | null} */
  let fuse = null
  const track = socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }
  const cut = () => {
    whole = false
    for (const socket of sockets) reset(socket)
  }
  const server = net.createServer(client => {
    if (!whole) return client.resetAndDestroy()
    const upstream = net.connect(port, '127.0.0.1')
    track(client)
    track(upstream)
    client.pipe(upstream)
    client.on('close', () => upstream.destroy())
    client.on('drain', () => upstream.resume())
    upstream.on('close', () => { if (!client.writableEnded) client.destroy() })
    upstream.on('data', data => {
      const at = fuse === null ? -1 : data.indexOf(fuse)
      if (at < 0) return client.write(data) || upstream.pause()
      // What came before it gets through, for it may be in the same packet.
      whole = false
      reset(upstream)
      client.end(data.subarray(0, at))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Resets all connections, and each that is tried from now on. */
    cut,
    /** Does that as soon as the server says this, and does not pass it on. */
    cutBefore(text) { fuse = text },
    mend() {
      whole = true
      fuse = null
    },
    /** Stops passing anything on, and closes nothing. */
    freeze() {
      for (const socket of sockets) {
        socket.removeAllListeners('data')
        socket.unpipe()
        socket.pause()
      }
    },
    close() {
      cut()
      server.close()
    },
  }
}

/** A socket that has said its last word cannot be reset any more: Node would keep its handle, and never end. */
const reset = socket => socket.writableEnded ? socket.destroy() : socket.resetAndDestroy()

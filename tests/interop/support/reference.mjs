// The original under the same tests: the official Socket.IO server with the rooms protocol as the sample has it. It proves
// that the tests describe what there was before, and not what we happen to do.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { Server } from 'socket.io'

/** Starts it in this process. */
export async function startReference() {
  const http = createServer()
  const io = new Server(http, { allowEIO3: true })
  io.on('connection', serve(io))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const { port } = http.address()
  const stop = () => io.close()
  return { url: `http://127.0.0.1:${port}`, port, stop, kill: stop }
}

const inside = id => `chat-room/${id}`

const serve = io => socket => {
  const create = () => {
    const id = randomBytes(9).toString('base64url').slice(0, 10)
    socket.join(inside(id))
    socket.emit('room-created', id)
  }
  socket.on('create-room', create)
  socket.on('join-room', id => {
    if (!io.of('/').adapter.rooms.has(inside(id))) return create()
    socket.join(inside(id))
    socket.to(inside(id)).emit('new-user-joined', socket.id)
  })
  for (const name of ['rtc-offer', 'rtc-answer', 'ice-candidate']) {
    socket.on(name, (to, data) => {
      if (to !== undefined && to !== null) socket.to(to).emit(name, socket.id, data)
    })
  }
  socket.on('disconnecting', () => {
    for (const room of socket.rooms) if (room !== socket.id) socket.to(room).emit('user-disconnected', socket.id)
  })
}

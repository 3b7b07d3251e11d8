// The rooms protocol of Socket.IO chat pages on the socket.io package, for the benches to compare with.
//
// It does what the protocol asks and nothing else: no logging, no static files, no polling transport, no per-message
// compression (off by default in socket.io 4), so that its figures are the best that this package gives.
//
// It ends when its standard input ends: a bench that dies leaves no server behind.

import { createServer } from 'node:http'
import { randomBytes } from 'node:crypto'
import { Server } from 'socket.io'

const ROOM_PREFIX = 'chat-room/'
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'
const PORT = Number(process.env.PORT ?? 0)

const http = createServer()
const io = new Server(http, { transports: ['websocket'], serveClient: false })
const members = io.sockets.adapter.rooms

/** A room id as nanoid(10) makes it: 64 characters of alphabet, so six bits of each random byte are one character. */
const freshRoom = () => Array.from(randomBytes(10), (byte) => ALPHABET[byte & 63]).join('')

io.on('connection', (socket) => {
  const createRoom = () => {
    const room = freshRoom()
    socket.join(ROOM_PREFIX + room)
    socket.emit('room-created', room)
  }
  const passOn = (event) => (target, payload) => {
    // Only a socket's id is a target: rooms share the adapter's name space with ids.
    if (typeof target === 'string' && io.sockets.sockets.has(target)) io.to(target).emit(event, socket.id, payload)
  }

  socket.on('create-room', createRoom)
  socket.on('join-room', (room) => {
    if (typeof room !== 'string' || !members.has(ROOM_PREFIX + room)) return createRoom()
    socket.join(ROOM_PREFIX + room)
    socket.to(ROOM_PREFIX + room).emit('new-user-joined', socket.id)
  })
  for (const event of ['rtc-offer', 'rtc-answer', 'ice-candidate']) socket.on(event, passOn(event))
  socket.on('disconnecting', () => {
    for (const room of socket.rooms) {
      if (room.startsWith(ROOM_PREFIX)) socket.to(room).emit('user-disconnected', socket.id)
    }
  })
})

http.on('error', (error) => {
  console.error(`cannot listen on 127.0.0.1:${PORT}: ${error.message}`)
  process.exit(1)
})
http.listen(PORT, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${http.address().port}`))

process.stdin.on('end', () => process.exit(0)).resume()
process.on('SIGTERM', () => process.exit(0))

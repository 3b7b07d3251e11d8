// Trystero's own client in pages of another site, and the strategy for its documented relay of topics.
//
// The client is npm `@trystero-p2p/core`: rooms, presence, encryption, WebRTC, and the helper for strategies over topics. What is
// written here is what its README asks for: how to subscribe and publish, over its own socket that comes back by itself.
import { createServer } from 'node:http'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'

const CORE = path.dirname(createRequire(import.meta.url).resolve('@trystero-p2p/core'))

const STRATEGY = `
  import { createTopicStrategy, fromJson, makeSocket, toJson } from '/core/index.mjs'

  globalThis.ignored = []
  globalThis.isBack = false
  const connect = url => {
    const listeners = new Map()
    const socket = makeSocket(url, text => {
      const { topic, payload, error } = fromJson(text)
      if (error) globalThis.ignored.push(error)
      for (const listener of listeners.get(topic) ?? []) listener(topic, payload)
    }, () => {
      for (const topic of listeners.keys()) socket.send(toJson({ type: 'subscribe', topic }))
      globalThis.isBack = true
    })
    return socket.ready.then(() => ({ socket, listeners }))
  }

  export const joinRoom = createTopicStrategy({
    init: ({ relayConfig }) => relayConfig.urls.map(connect),
    subscribeTopic({ socket, listeners }, topic, listener) {
      if (!listeners.has(topic)) {
        listeners.set(topic, new Set())
        socket.send(toJson({ type: 'subscribe', topic }))
      }
      listeners.get(topic).add(listener)
      return () => {
        listeners.get(topic)?.delete(listener)
        if (listeners.get(topic)?.size !== 0) return
        listeners.delete(topic)
        socket.send(toJson({ type: 'unsubscribe', topic }))
      }
    },
    publishTopic: ({ socket }, topic, payload) => { socket.send(toJson({ type: 'publish', topic, payload })) },
  })
`

const PAGE = `<!doctype html><meta charset="utf-8"><title>Trystero</title>
<script type="module">
  import { selfId } from '/core/index.mjs'
  import { joinRoom } from '/strategy.mjs'

  globalThis.selfId = selfId
  globalThis.peers = new Set()
  globalThis.heard = []
  globalThis.enter = (relay, id, password) => {
    const config = { appId: 'switchboard-tests', password, relayConfig: { urls: [relay] }, rtcConfig: { iceServers: [] } }
    const room = globalThis.room = joinRoom(config, id)
    room.onPeerJoin = peer => globalThis.peers.add(peer)
    room.onPeerLeave = peer => globalThis.peers.delete(peer)
    globalThis.chat = room.makeAction('chat')
    globalThis.chat.onMessage = (data, { peerId }) => {
      const bytes = data instanceof ArrayBuffer || ArrayBuffer.isView(data)
      globalThis.heard.push({ from: peerId, data: bytes ? null : data, bytes: bytes ? data.byteLength : null })
    }
  }
  globalThis.ready = true
</script>`

/** Serves the page and the client, from an origin that is not the switchboard's. */
export async function startSite() {
  const site = createServer(async ({ url }, response) => {
    const found = url === '/' ? [PAGE, 'text/html'] : url === '/strategy.mjs' ? [STRATEGY, 'text/javascript'] : await core(url)
    response.writeHead(found ? 200 : 404, { 'content-type': found?.[1] ?? 'text/plain' }).end(found?.[0])
  })
  site.listen(0, '127.0.0.1')
  await once(site, 'listening')
  return { url: `http://127.0.0.1:${site.address().port}/`, stop: () => site.close() }
}

async function core(url) {
  const name = /^\/core\/([\w-]+\.mjs)$/.exec(url)?.[1]
  return name && [await readFile(path.join(CORE, name)), 'text/javascript']
}

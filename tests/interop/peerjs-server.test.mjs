// What PeerJS pages meet beside each other: nobody, somebody else's id, a wrong key, a lost or a restarted server, other paths and
// keys, a proxy. PEERJS_REFERENCE=1 runs what the original can do against npm `peer`.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs/promises'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import WebSocket from 'ws'
import { cuttable } from '../browser/support/proxy.mjs'
import { startNginx } from './support/nginx.mjs'
import { browsers, servePages } from './support/peerjs-pages.mjs'
import { REFERENCE, start, startOurs } from './support/peerjs-server.mjs'

/** What the original cannot do. */
const OURS = { skip: REFERENCE && 'the original cannot' }
const DOCUMENT = path.join(import.meta.dirname, '../../docs/protocol/peerjs.md')

let pages, both
before(async () => {
  pages = await servePages()
  both = await browsers(pages.origin)
})
after(async () => { await both?.close(); pages?.close() })

/** Runs a test with a server and so many pages, and cleans up whatever comes of it. */
async function scene({ settings, flags, count = 2, browser = 'Chromium', version = '1.5' }, play) {
  const server = await start(settings, flags)
  const people = []
  try {
    while (people.length < count) people.push(await both.visit(browser, version))
    await play(server, ...people)
    for (const { name, faults } of people) assert.deepEqual(faults, [], name)
  } finally {
    await Promise.all(people.map(person => person.dispose()))
    await server.stop()
  }
}

/** Connects, and says something in both directions. */
async function talk(ann, ben, { annId, benId }) {
  const number = await ann.connect(benId)
  await ann.heard('connection-open', { number })
  const { number: other } = await ben.heard('connection', { peer: annId })
  await ben.heard('connection-open', { number: other })
  await hears(ann, number, ben, other, 'hello')
  await hears(ben, other, ann, number, 'hello back')
  return { number, other }
}

async function hears(from, number, to, other, text) {
  await from.run(([number, text]) => { globalThis.connections[number].send(text) }, [number, text])
  await to.heard('data', { number: other, text })
}

for (const [browser, version] of [['Chromium', '1.5'], ['Firefox', '1.5'], ['Chromium', '2.0'], ['Firefox', '2.0'], ['Chromium', '1.2']]) {
  describe(`PeerJS ${version} in ${browser}`, () => {
    const who = { browser, version }

    test('an unknown peer is told to be unavailable', () => scene({ ...who, count: 1, settings: { expire: 1000 } }, async (server, ann) => {
      await ann.open(server)
      await ann.connect('nobody-here')
      const { message } = await ann.heard('error', { name: 'peer-unavailable' })
      assert.equal(message, 'Could not connect to peer nobody-here')
      assert.deepEqual(await ann.events('disconnected'), [])
    }))

    test('a call before the id is decided, which a dead socket holds, is made when it is', { ...OURS }, () => scene({ ...who }, async (server, ann, ben) => {
      const ghost = new WebSocket(`${server.url.replace('http', 'ws')}/peerjs?key=peerjs&id=in-dispute&token=old`)
      await once(ghost, 'message')
      ghost._socket.pause()
      try {
        const benId = await ben.open(server)
        await ann.begin(server, { id: 'in-dispute' })
        // What the client says before its socket is open, it forgets.
        await ann.page.waitForFunction(() => (globalThis.peer.socket ?? globalThis.peer._socket)?._socket?.readyState === WebSocket.OPEN)
        const number = await ann.connect(benId)
        await ann.heard('connection-open', { number })
        assert.deepEqual([await ann.events('error'), await ann.events('disconnected')], [[], []])
      } finally {
        ghost.terminate()
      }
    }))

    test('a number is nobody, and calling it ends nothing', () => scene({ ...who, settings: { expire: 1000 } }, async (server, ann, ben) => {
      const annId = await ann.open(server)
      const benId = await ben.open(server, { id: '1234' })
      await ann.connect(1234)
      const { message } = await ann.heard('error', { name: 'peer-unavailable' })
      assert.equal(message, 'Could not connect to peer 1234')
      await talk(ann, ben, { annId, benId })
      assert.deepEqual(await ann.events('disconnected'), [])
    }))

    test('metadata that is too large is told in words, and the page can come back', { ...OURS }, () => scene({ ...who }, async (server, ann, ben) => {
      const annId = await ann.open(server)
      const benId = await ben.open(server)
      await ann.connect(benId, { metadata: { avatar: 'a'.repeat(100_000) } })
      const { message } = await ann.heard('error', { name: 'server-error' })
      assert.match(message, /too large: 65536 bytes are the limit, with the metadata/)
      await ann.heard('disconnected')
      await ann.run(() => { globalThis.peer.reconnect() })
      await ann.heard('open', {}, 2)
      await talk(ann, ben, { annId, benId })
    }))

    test('who comes a little late is still connected', () => scene({ ...who, settings: { expire: 20_000 } }, async (server, ann, ben) => {
      await ann.open(server)
      const number = await ann.connect('late-comer')
      await ben.open(server, { id: 'late-comer' })
      await ann.heard('connection-open', { number })
    }))

    test('an id that somebody has is told to be taken, and its holder goes on', () => scene({ ...who, count: 3 }, async (server, ann, ben, cid) => {
      assert.equal(await ann.open(server, { id: 'the-one' }), 'the-one')
      await ben.begin(server, { id: 'the-one' })
      await ben.heard('error', { name: 'unavailable-id' })
      await talk(cid, ann, { annId: await cid.open(server), benId: 'the-one' })
      assert.deepEqual(await ann.events('disconnected'), [])
    }))

    test('an id that its own client refuses is told to be invalid, and the server hears nothing', () => scene({ ...who, count: 2, settings: { discovery: true } }, async (server, ann, ben) => {
      const benId = await ben.open(server)
      for (const id of ['-at-its-end-', 'two  spaces', 'a/b', 'š', 'a\u0007b']) {
        await ann.begin(server, { id })
        const { message } = await ann.heard('error', { name: 'invalid-id', message: `ID "${id}" is invalid` })
        assert.match(message, /is invalid$/)
      }
      assert.deepEqual(await ann.events('open'), [])
      assert.deepEqual(await ben.run(() => new Promise(resolve => globalThis.peer.listAllPeers(resolve))), [benId])
    }))

    test('an id that is too long for the server is told, and one that just fits is there', OURS, () => scene({ ...who }, async (server, ann, ben) => {
      await ann.begin(server, { id: 'a'.repeat(513) })
      const { message } = await ann.heard('error', { name: 'server-error' })
      assert.match(message, /This id is too long: 512 bytes are the limit/)
      assert.deepEqual(await ann.events('open'), [])
      const id = 'b'.repeat(512)
      await talk(ben, ann, { annId: await ben.open(server), benId: await ann.open(server, { id }) })
    }))

    test('a wrong key is told', () => scene({ ...who, count: 1 }, async (server, ann) => {
      await ann.begin(server, { key: 'wrong' })
      const { message } = await ann.heard('error', { name: 'server-error' })
      assert.match(message, /Invalid key provided/)
    }))

    test('a killed server leaves direct connections, and takes its clients back when it is there again', () => scene(who, async (server, ann, ben) => {
      const [annId, benId] = [await ann.open(server), await ben.open(server)]
      const { number, other } = await talk(ann, ben, { annId, benId })
      await server.kill()
      await Promise.all([ann.heard('disconnected'), ben.heard('disconnected')])
      await hears(ann, number, ben, other, 'without a server')
      const again = await start({ port: server.port })
      try {
        for (const [person, id] of [[ann, annId], [ben, benId]]) {
          await person.run(() => { globalThis.peer.reconnect() })
          assert.equal((await person.heard('open', {}, 2)).id, id)
        }
        const second = await ben.connect(annId)
        await ben.heard('connection-open', { number: second })
        await hears(ann, number, ben, other, 'the old connection is still there')
      } finally {
        await again.stop()
      }
    }))

    test('a lost network: the id is there for its owner again', () => scene(who, async (server, ann, ben) => {
      const proxy = await cuttable(server.port)
      try {
        const benId = await ben.open({ port: Number(new URL(proxy.url).port) }, { id: 'traveller' })
        proxy.cut()
        await ben.heard('disconnected')
        proxy.mend()
        await ben.run(() => { globalThis.peer.reconnect() })
        await ben.heard('open', {}, 2)
        await talk(ann, ben, { annId: await ann.open(server), benId })
      } finally {
        proxy.close()
      }
    }))

    test('a socket that nobody knows to be dead does not keep its owner out', OURS, () => scene(who, async (server, ann, ben) => {
      const proxy = await cuttable(server.port)
      try {
        const benId = await ben.open({ port: Number(new URL(proxy.url).port) }, { id: 'traveller' })
        // From here on nothing passes, not even the close.
        proxy.freeze()
        await ben.run(() => {
          globalThis.peer.disconnect()
          globalThis.peer.reconnect()
        })
        await ben.heard('open', {}, 2)
        await talk(ann, ben, { annId: await ann.open(server), benId })
      } finally {
        proxy.close()
      }
    }))

    test('peers are listed if that is allowed, and not otherwise', async () => {
      const list = person => person.run(() => { globalThis.peer.listAllPeers(ids => { globalThis.events.push({ type: 'list', ids }) }) })
      await scene({ ...who, settings: { discovery: true } }, async (server, ann, ben) => {
        const ids = [await ann.open(server), await ben.open(server)]
        const listed = await ann.run(() => new Promise(resolve => globalThis.peer.listAllPeers(resolve)))
        assert.deepEqual(listed.sort(), ids.sort())
      })
      await scene({ ...who, count: 1 }, async (server, ann) => {
        await ann.open(server)
        await list(ann)
        await ann.heard('error', { name: 'server-error' })
        assert.deepEqual(await ann.events('list'), [])
      }).catch(error => {
        // These versions let the page itself see that the answer was no list.
        if (!/permission to list/.test(error.message)) throw error
      })
    })

    test('two keys side by side are two worlds', OURS, () => scene({ ...who, count: 3, settings: { keys: ['one', 'two'], discovery: true, expire: 1000 } }, async (server, ann, ben, cid) => {
      await ann.open(server, { key: 'one', id: 'same' })
      await ben.open(server, { key: 'two', id: 'same' })
      const cidId = await cid.open(server, { key: 'two' })
      await talk(cid, ben, { annId: cidId, benId: 'same' })
      assert.deepEqual(await ann.events('connection'), [])
      assert.deepEqual(await ann.run(() => new Promise(resolve => globalThis.peer.listAllPeers(resolve))), ['same'])
      await ann.connect(cidId)
      await ann.heard('error', { name: 'peer-unavailable' })
    }))

    test('a path of its own', () => scene({ ...who, settings: { path: '/my/app' } }, async (server, ann, ben) => {
      const ids = { annId: await ann.open(server, { path: '/my/app' }), benId: await ben.open(server, { path: '/my/app/' }) }
      await talk(ann, ben, ids)
    }))

    test('the path of Express apps, and the root, by default', OURS, () => scene(who, async (server, ann, ben) => {
      const ids = { annId: await ann.open(server, { path: '/peerjs' }), benId: await ben.open(server) }
      await talk(ann, ben, ids)
    }))

    test('behind nginx, at the root and below a path', () => scene(who, async (server, ann, ben) => {
      const nginx = await startNginx(server.port, '/talk/')
      try {
        await talk(ann, ben, { annId: await ann.open(nginx), benId: await ben.open(nginx, { path: '/talk' }) })
      } finally {
        await nginx.stop()
      }
    }))
  })
}

for (const [browser, version] of [['Chromium', '1.5'], ['Firefox', '1.5'], ['Chromium', '2.0'], ['Chromium', '1.0']]) {
  test(`PeerJS ${version} in ${browser}: the documented lines give a page the relay`, OURS, async () => {
    const lines = /## STUN and TURN[^]*?```js\n([^]*?)```/.exec(await fs.readFile(DOCUMENT, 'utf8'))[1]
    assert.equal(lines.trim().split('\n').length, 2)
    await scene({
      browser, version, settings: { origins: [pages.origin] },
      flags: ['--set', 'turn.relay_addresses=127.0.0.1', '--set', 'turn.allow_loopback_peers=true'],
    }, async (server, ann, ben) => {
      const source = lines.replaceAll('https://switchboard.example.org', server.url)
      const settings = { host: '127.0.0.1', port: server.port, path: '/', secure: false }
      const ids = []
      for (const person of [ann, ben]) {
        await person.run(([source, settings]) => {
          globalThis.recorder.begin(null, settings)
          new Function('peer', source)(globalThis.peer)
        }, [source, settings])
        ids.push((await person.heard('open')).id)
        await person.run(async () => {
          const granted = () => globalThis.peer.options.config.iceServers.some(({ urls, credential }) => credential && [urls].flat().some(url => url.startsWith('turn:127.0.0.1')))
          // Animation frames do not come in a tab behind another.
          while (!granted()) await fetch(location.href)
          // Nothing but the relay.
          globalThis.peer.options.config.iceTransportPolicy = 'relay'
        })
      }
      const { number } = await talk(ann, ben, { annId: ids[0], benId: ids[1] })
      const kind = await ann.run(async number => {
        // Statistics come a little after what they are about.
        for (;;) {
          const stats = [...(await globalThis.connections[number].peerConnection.getStats()).values()]
          const pair = stats.find(({ type, state, nominated }) => type === 'candidate-pair' && state === 'succeeded' && nominated)
          const local = pair && stats.find(({ id }) => id === pair.localCandidateId)
          if (local) return local.candidateType
        }
      }, number)
      assert.equal(kind, 'relay')
    })
  })
}

test('a page whose origin the operator did not name is introduced, and gets no relay', OURS, () => scene({ count: 1 }, async (server, ann) => {
  const id = await ann.open(server)
  const readable = await ann.run(async ([url, id]) => {
    try {
      return (await fetch(`${url}/ice?peerjs=${id}`, { headers: { Authorization: `Bearer ${globalThis.peer.options.token}` } })).status
    } catch {
      return 'the browser keeps it from the page'
    }
  }, [server.url, id])
  assert.equal(readable, 'the browser keeps it from the page')
}))

describe('ids that no official client would choose', OURS, () => {
  const socket = (server, id) => new WebSocket(`${server.url.replace('http', 'ws')}/peerjs?key=peerjs&id=${id}&token=t`)

  for (const id of ['%00', 'a%0Ab', 'a%7Fb', '%C2%85']) {
    test(`${id}: control characters are refused in the words of a client's server error, and the socket is closed`, async () => {
      const server = await start()
      try {
        const refused = socket(server, id)
        const closed = once(refused, 'close')
        const [text] = await once(refused, 'message')
        assert.deepEqual(JSON.parse(text), { type: 'ERROR', payload: { msg: 'This id has control characters; ids are text that people could read' } })
        assert.equal((await closed)[0], 1005, 'without a code, as the original does')
      } finally {
        await server.stop()
      }
    })
  }

  test('what people could read is an id, and official clients can call it', () => scene({ count: 1 }, async (server, ann) => {
    const id = 'š/b! 😀'
    const other = socket(server, encodeURIComponent(id))
    try {
      assert.deepEqual(JSON.parse((await once(other, 'message'))[0]), { type: 'OPEN' })
      const annId = await ann.open(server)
      const heard = once(other, 'message')
      await ann.connect(id)
      const { type, src, dst } = JSON.parse((await heard)[0])
      assert.deepEqual({ type, src, dst }, { type: 'OFFER', src: annId, dst: id })
    } finally {
      other.terminate()
    }
  }))
})

test('a page of this server beside PeerJS: its room page is where it was', OURS, async () => {
  const server = await startOurs()
  try {
    assert.match(await (await fetch(server.url)).text(), /<title>/)
    assert.match(await (await fetch(`${server.url}/peerjs/id`)).text(), /^[0-9a-f-]{36}$/)
  } finally {
    await server.stop()
  }
})

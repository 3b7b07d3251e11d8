// What the page does with ids, names, texts, files and addresses, without a browser: the pure modules of web/app.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { HUES, hueOf } from '../../web/app/colours.js'
import { packFile, safeFileName, unpackFile } from '../../web/app/files.js'
import { linkPieces } from '../../web/app/linkify.js'
import { stateLine } from '../../web/app/members.js'
import { inventName, tidyName } from '../../web/app/names.js'
import { receiptSummary } from '../../web/app/receipts.js'
import { redactor } from '../../web/app/redact.js'
import { chooseRoom, isRoomId, roomLink } from '../../web/app/room-choice.js'
import { bytes, listNames, pathWords } from '../../web/app/words.js'

test('a room id is 4 to 64 characters of the alphabet and not a word that scripts write by mistake', () => {
  for (const id of ['aUa62LD8NZ', 'abcd', '_-_-', 'a'.repeat(64)]) assert.equal(isRoomId(id), true, id)
  for (const id of ['', 'abc', 'a'.repeat(65), 'undefined', 'null', 'has space', 'ä'.repeat(5), 'a/b/c/d', null, undefined, 1234]) {
    assert.equal(isRoomId(id), false, String(id))
  }
})

test('the link wins over what is remembered, and that over a new room', () => {
  assert.deepEqual(chooseRoom('?roomId=from-link', 'remembered'), { id: 'from-link', from: 'link', rejected: null })
  assert.deepEqual(chooseRoom('?room=from-link', 'remembered'), { id: 'from-link', from: 'link', rejected: null })
  assert.deepEqual(chooseRoom('', 'remembered'), { id: 'remembered', from: 'storage', rejected: null })
  assert.deepEqual(chooseRoom('?roomId=undefined', 'remembered'), { id: 'remembered', from: 'storage', rejected: 'undefined' })
  assert.deepEqual(chooseRoom('?roomId=abc', 'undefined'), { id: null, from: 'new', rejected: 'abc' })
  assert.deepEqual(chooseRoom('?roomId=', null), { id: null, from: 'new', rejected: null })
})

test('a room’s link keeps the path and nothing else of the page’s address', () => {
  assert.equal(roomLink('https://a.example/chat/?room=old&x=1#y', 'abcd'), 'https://a.example/chat/?roomId=abcd')
  assert.equal(roomLink('https://a.example/?roomId=old', null), 'https://a.example/')
})

test('names keep within the protocol’s limits and cannot disguise themselves', () => {
  assert.equal(tidyName('  Ann \n\t B. '), 'Ann B.')
  assert.equal(tidyName('x'.repeat(100)).length, 64)
  assert.equal(new TextEncoder().encode(tidyName('👩‍👩‍👧‍👧'.repeat(40))).length <= 256, true)
  assert.equal(tidyName('\u202egnp.exe'), 'gnp.exe')
  assert.equal(tidyName(undefined), '')
  for (let i = 0; i < 200; i++) {
    const name = inventName()
    assert.match(name, /^[A-Z][a-z]+ [A-Z][a-z]+$/)
    assert.equal(tidyName(name), name)
  }
})

test('only http and https addresses become links, without the punctuation around them', () => {
  const links = text => linkPieces(text).filter(piece => piece.href !== null).map(piece => piece.href)
  assert.deepEqual(links('see https://a.example/b?c=(1), and (http://x.test).'), ['https://a.example/b?c=(1)', 'http://x.test/'])
  assert.deepEqual(links('javascript:alert(1) data:text/html,x file:///etc ftp://a.b vbscript:x //a.example'), [])
  assert.deepEqual(links('https://user:pw@evil.example/ https:// http://['), [])
  assert.deepEqual(links('https://a.example/"onmouseover="x'), ['https://a.example/'])
  assert.equal(links('http://a.example '.repeat(80)).length, 50)
})

test('the pieces of a text are the text', () => {
  const alphabet = ['http://', 'https://', 'a', '.', ')', '(', ' ', '\n', '"', '<', 'é', '😀', '\u202e', '/', '?', '@', ':']
  let seed = 7
  const next = below => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % below }
  for (let i = 0; i < 2000; i++) {
    const text = Array.from({ length: next(40) }, () => alphabet[next(alphabet.length)]).join('')
    assert.equal(linkPieces(text).map(piece => piece.text).join(''), text)
  }
})

test('a file comes back with its name, type and bytes', async () => {
  const sent = new Uint8Array([1, 2, 3, 0, 255])
  const { name, type, blob } = await unpackFile(await packFile(new File([sent], 'rö?nd.png', { type: 'image/png' })).arrayBuffer())
  assert.equal(name, 'rönd.png')
  assert.equal(type, 'image/png')
  assert.equal(blob.type, 'image/png')
  assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), sent)
})

test('bytes that are no file of ours are offered whole, as bytes', async () => {
  const packed = new Uint8Array(await packFile(new File(['hello'], 'a.txt', { type: 'text/plain' })).arrayBuffer())
  for (let cut = 0; cut < packed.length - 5; cut++) {
    const part = packed.slice(0, cut)
    const { blob, name } = await unpackFile(part)
    assert.equal(name, 'message.bin')
    assert.equal(blob.size, cut)
  }
  for (let i = 0; i < packed.length; i++) {
    const bent = packed.slice()
    bent[i] ^= 0x55
    const { blob, name } = await unpackFile(bent)
    assert.equal(blob.type, 'application/octet-stream')
    assert.match(name, /^[^/\\]+$/)
  }
})

test('a page sent as a file is never handed on as a page', async () => {
  for (const type of ['text/html', 'image/svg+xml', 'application/xhtml+xml', 'text/javascript']) {
    const { blob } = await unpackFile(packFile(new File(['<script>'], 'x.html', { type })))
    assert.equal(blob.type, 'application/octet-stream')
  }
})

test('file names are one harmless path component', () => {
  const cases = [['../../etc/passwd', 'passwd'], ['C:\\Windows\\evil.exe', 'evil.exe'], ['...', 'file'], ['', 'file'], [null, 'file'], ['con.txt', '_con.txt'],
    ['a\u202egnp.exe', 'agnp.exe'], ['  .hidden ', 'hidden'], ['a<b>:"|?*.txt', 'ab.txt'], ['x\u0000y\n.txt', 'xy.txt']]
  for (const [given, safe] of cases) assert.equal(safeFileName(given), safe)
  const long = safeFileName(`${'ü'.repeat(500)}.tar.gz`)
  assert.equal([...long].length, 120)
  assert.equal(long.endsWith('.gz'), true)
})

test('redacting leaves no address and no secret, and keeps equal addresses equal', () => {
  const hide = redactor()
  const text = hide('pair 192.168.1.4:5000 to 203.0.113.9:6000, then 192.168.1.4 and fe80::1%eth0, 2001:db8::7, ::1, 4f1c2a3b-0000-4000-8000-000000000000.local at 12:34:56.789')
  assert.equal(/192\.168|203\.0|fe80|2001:db8|\.local/.test(text), false, text)
  assert.match(text, /12:34:56\.789/)
  assert.match(text, /(\[private IPv4 address \d\]):5000.*then \1 and/)
  assert.match(text, /public IPv4 address/)
  const sdp = hide({ sdp: 'o=- 1 2 IN IP4 10.1.2.3\r\na=ice-ufrag:abcd\r\na=ice-pwd:topsecret\r\na=fingerprint:sha-256 AA:BB:CC:DD\r\na=mid:0\r\n', credential: 's3cret', n: 4, deep: [{ candidate: 'candidate:1 1 udp 2122 10.1.2.3 54321 typ host generation 0 ufrag xYz1' }] })
  const json = JSON.stringify(sdp)
  assert.equal(/10\.1\.2\.3|abcd|topsecret|AA:BB|s3cret|xYz1/.test(json), false, json)
  assert.match(json, /a=mid:0/)
  assert.match(json, /typ host generation 0/)
  assert.equal(hide('Waited 3.5 s, version 1.2.3, ratio 10:20'), 'Waited 3.5 s, version 1.2.3, ratio 10:20')
})

test('redacting hides the room, which is the key to it', () => {
  assert.deepEqual(redactor('tea-at-eight')({ text: 'In room tea-at-eight.', room: 'tea-at-eight', steps: 8 }), { text: 'In room [this room].', room: '[this room]', steps: 8 })
})

test('redacting a cycle ends', () => {
  const loop = { address: '10.0.0.1' }
  loop.self = loop
  assert.equal(JSON.stringify(redactor()(loop)).includes('10.0.0.1'), false)
})

test('a receipt says the worst first, and who it concerns', () => {
  const said = states => receiptSummary(new Map(Object.entries(states)), id => id).text
  assert.equal(said({}), 'Nobody was here to get it')
  assert.equal(said({ Ann: 'delivered' }), 'Delivered')
  assert.equal(said({ Ann: 'failed' }), 'Not delivered')
  assert.equal(said({ Ann: 'delivered', Ben: 'failed' }), 'Not delivered to Ben')
  assert.equal(said({ Ann: 'delivered', Ben: 'queued' }), 'Waiting for Ben')
  assert.equal(said({ Ann: 'delivered', Ben: 'sending' }), 'Sending')
  assert.equal(said({ Ann: 'delivered', Ben: 'sent' }), 'Delivered to 1 of 2')
  assert.equal(said({ Ann: 'sent', Ben: 'sent' }), 'Sent')
  assert.equal(said({ Ann: 'delivered', Ben: 'delivered', Cem: 'delivered' }), 'Delivered to all 3')
})

test('figures and lists read well', () => {
  assert.deepEqual([0, 999, 1000, 1449, 99_949, 999_499, 999_500, 16_777_216].map(bytes), ['0 B', '999 B', '1.0 kB', '1.4 kB', '100 kB', '999 kB', '1.0 MB', '17 MB'])
  assert.equal(listNames(['Ann']), 'Ann')
  assert.equal(listNames(['Ann', 'Ben']), 'Ann and Ben')
  assert.equal(listNames(['Ann', 'Ben', 'Cem', 'Dia', 'Eli']), 'Ann, Ben and 3 others')
})

const path = { kind: 'direct', local: 'host', remote: 'srflx', protocol: 'udp', rttMs: 12.4, bytesSent: 1, bytesReceived: 2 }

test('how somebody is connected is said in a line', () => {
  const peer = { state: 'open', away: false }
  assert.equal(stateLine(peer, path, 0), 'Direct · UDP · 12 ms')
  assert.equal(stateLine(peer, { ...path, kind: 'relayed', protocol: 'tcp', rttMs: null }, 0), 'Relayed · TCP')
  assert.equal(stateLine({ ...peer, away: true }, { ...path, rttMs: 0.3 }, 0), 'Direct · UDP · under 1 ms · lost the server')
  assert.equal(stateLine({ ...peer, state: 'connecting' }, null, 100), 'Connecting…')
  assert.equal(stateLine({ ...peer, state: 'connecting' }, null, 20_000), 'Still connecting: a firewall may be in the way')
  assert.equal(pathWords(path), ' directly, 12 ms apart')
  assert.equal(pathWords({ ...path, kind: 'relayed' }), ' through a relay that cannot read along, 12 ms apart')
  assert.equal(pathWords(null), '')
})

test('a peer keeps its colour, and people in one room have different ones while there are enough', () => {
  const ids = Array.from({ length: HUES }, (_, i) => `peer-${i}`)
  const hues = ids.map((id, i) => hueOf(id, ids.slice(0, i)))
  assert.equal(new Set(hues).size, HUES)
  assert.deepEqual(ids.map(id => hueOf(id)), hues)
  for (const id of ['', '😀', 'x'.repeat(1000)]) assert.ok(hueOf(id, ids) >= 0 && hueOf(id) < HUES)
})

test('every module and style sheet of a page is named in its head, so that all are fetched at once', () => {
  const web = new URL('../../web/', import.meta.url)
  const files = fs.readdirSync(new URL('app/', web)).map(file => `app/${file}`)
  const common = ['app/clipboard.js', 'app/dom.js', 'app/frame.css', 'app/server-up.js', 'app/tokens.css']
  const ofTest = file => file.startsWith('app/diagnostics')
  const pages = { 'index.html': files.filter(file => !ofTest(file)), 'diagnostics.html': files.filter(file => ofTest(file) || common.includes(file)) }
  for (const [page, wanted] of Object.entries(pages)) {
    const html = fs.readFileSync(new URL(page, web), 'utf8')
    const named = [...html.matchAll(/(?:href|src)="\/(app\/[^"]+)"/g)].map(match => match[1]).sort()
    assert.deepEqual(named, wanted.sort(), page)
    assert.doesNotMatch(html, /<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/, `${page}: the policy allows nothing inline`)
  }
})

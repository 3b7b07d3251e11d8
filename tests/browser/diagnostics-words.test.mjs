// What the connection test makes of what it finds, without a browser: its outcomes, its one sentence, its report.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { report, shorten } from '../../web/app/diagnostics-report.js'
import { addressOutcome, mappingOf, relayOutcome, stunAnswers, stunOutcome, verdict, wayOf } from '../../web/app/diagnostics-verdict.js'

const gathered = (candidates, more = {}) => ({ candidates, errors: [], refused: false, finished: true, ms: 50, ...more })
const candidate = (type, address = '198.51.100.7', port = 4000, base = '') => ({ type, protocol: 'udp', address, port, base, ms: 12 })
const findings = more => ({ webrtc: 'works', socketFault: null, standing: 'down', stun: [true], relays: [], mapping: 'unknown', ...more })
const relays = (...ways) => ways.map(([way, works, refused = false]) => ({ way, works, refused }))

test('a URL says how its relay is reached', () => {
  assert.deepEqual(['turn:a', 'turn:a:1?transport=udp', 'turn:a?transport=tcp', 'turns:a?transport=tcp', 'TURNS:a'].map(wayOf), ['UDP', 'UDP', 'TCP', 'TLS', 'TLS'])
})

test('STUN answers, does not, or it cannot be told', () => {
  assert.equal(stunAnswers(gathered([candidate('host'), candidate('srflx')]), true), true)
  assert.equal(stunAnswers(gathered([], { errors: ['no answer (701)'] }), true), false)
  assert.equal(stunAnswers(gathered([], { finished: false, ms: 12_000 }), false), false)
  assert.equal(stunAnswers(gathered([], { ms: 9500 }), false), false)
  assert.equal(stunAnswers(gathered([candidate('host')]), true), true, 'no router in between')
  assert.equal(stunAnswers(gathered([candidate('host')]), false), null)
  assert.match(stunOutcome(gathered([candidate('srflx', '2001:db8::7', 5)]), true).text, /sees you as \[2001:db8::7\]:5/)
  assert.equal(stunOutcome(gathered([]), false).tone, 'bad')
})

test('a relay works, is out of reach, refuses, or gives an address and passes nothing', () => {
  const echoed = more => ({ ...gathered([]), connectMs: null, rttMs: null, ...more })
  assert.equal(relayOutcome(echoed({ rttMs: 23.4, connectMs: 120 })).text, 'A message went to it and back in 23 ms; the connection took 120 ms. Both ends were relayed by it, so this does not show whether its relay ports are open to others.')
  assert.match(relayOutcome(echoed({ errors: ['x (701)'] })).text, /cannot be reached this way. The browser says: x \(701\)\./)
  assert.match(relayOutcome(echoed({ refused: true })).text, /refused the credentials/)
  assert.match(relayOutcome(echoed({ candidates: [candidate('relay')] })).text, /nothing came back/)
})

test('addresses that the browser hides, tells, or does not have', () => {
  assert.match(addressOutcome(gathered([candidate('host', 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6.local')])).text, /hides/)
  assert.match(addressOutcome(gathered([candidate('host', '10.0.0.4')])).text, /tells/)
  assert.equal(addressOutcome(gathered([])).blocked, true)
  assert.equal(addressOutcome(gathered([{ ...candidate('host'), protocol: 'tcp' }])).tone, 'warn')
})

test('a router that gives each destination another port is told from one that does not', () => {
  const at = (port, base = '0.0.0.0:0', address) => candidate('srflx', address, port, base)
  const both = [[at(5000)], [at(5001)]]
  assert.equal(mappingOf([at(4000)], both), 'steady')
  assert.equal(mappingOf([at(4000), at(4001)], both), 'varies')
  assert.equal(mappingOf([at(4000, '10.0.0.4:9'), at(4001, '10.8.0.2:9')], both), 'steady', 'two interfaces')
  assert.equal(mappingOf([at(4000), at(4001, '0.0.0.0:0', '2001:db8::7')], both), 'steady', 'two families')
})

test('a router is not called steady where one of two servers is silent, for the browser names one port then as well', () => {
  const at = (port, base = '0.0.0.0:0', address) => candidate('srflx', address, port, base)
  assert.equal(mappingOf([at(4000)], [[at(5000)], []]), 'unknown')
  assert.equal(mappingOf([at(4000)], [[], [candidate('host'), at(5000)]]), 'unknown')
  assert.equal(mappingOf([at(4000)], [[at(5000)], [at(5001, '0.0.0.0:0', '2001:db8::7')]]), 'unknown', 'each of another family')
  assert.equal(mappingOf([at(4000)], [[at(5000)]]), 'unknown')
  assert.equal(mappingOf([], [[at(5000)], [at(5001)]]), 'unknown')
  assert.equal(mappingOf([candidate('host')], [[candidate('host')], [candidate('host')]]), 'unknown', 'no router in between')
})

test('the sentence is one sentence, and fits what was found', () => {
  const said = [
    [{ webrtc: 'missing' }, 'bad', /switched off or missing/],
    [{ webrtc: 'blocked' }, 'bad', /lets no page use/],
    [{ socketFault: 'x' }, 'bad', /over a WebSocket/],
    [{ socketFault: 'x', standing: 'up' }, 'bad', /is up but its WebSocket does not get through/],
    [{ socketFault: 'x', standing: 'foreign' }, 'bad', /pass the Host header on.*public_url/],
    [{ relays: relays(['UDP', true], ['TCP', true], ['TLS', true]) }, 'ok', /^Everything works/],
    [{ relays: relays(['UDP', true], ['TLS', false]) }, 'ok', /only TLS to the relay does not work/],
    [{ relays: relays(['UDP', true], ['TCP', false], ['TLS', false]) }, 'ok', /only TCP and TLS to the relay do not work/],
    [{ stun: [false], relays: relays(['UDP', false], ['TCP', false], ['TLS', true]) }, 'warn', /block UDP, but the relay can be reached by TLS/],
    [{ stun: [false], relays: relays(['TLS', true]) }, 'warn', /block UDP/],
    [{ stun: [true], relays: relays(['TLS', true]) }, 'ok', /directly, or through the relay by TLS if its ports are open/],
    [{ relays: relays(['UDP', false]) }, 'warn', /the relay cannot be reached from here/],
    [{ relays: relays(['UDP', false, true]) }, 'bad', /refuses the credentials/],
    [{ stun: [false], relays: relays(['UDP', false]) }, 'bad', /Only people in your own network/],
    [{}, 'warn', /has no relay/],
    [{ mapping: 'varies' }, 'warn', /another port/],
    [{ stun: [] }, 'warn', /neither STUN nor a relay/],
    [{ stun: [false] }, 'bad', /STUN does not answer/],
    [{ stun: [null] }, 'warn', /should work with most people/],
  ]
  for (const [more, tone, words] of said) {
    const { tone: found, text } = verdict(findings(more))
    assert.match(text, words)
    assert.equal(found, tone, text)
    assert.match(text, /^[A-Z][^.?!]*\.$/, 'one sentence')
  }
})

test('the report shortens addresses and nothing that only looks like one', () => {
  assert.equal(shorten('203.0.113.77:4000'), '203.0.x.x:4000')
  assert.equal(shorten('[2001:db8:1:2::77]:4000'), '[2001:db8:…]:4000')
  assert.equal(shorten('fe80::1%eth0'), 'fe80::…')
  assert.equal(shorten('::ffff:203.0.113.77'), '::…')
  assert.equal(shorten('f81d4fae-7dec-11d0-a765-00a0c91e6bf6.local'), 'f81d….local')
  assert.equal(shorten('at 10:20:30 in 1.5 s'), 'at 10:20:30 in 1.5 s')
  const head = { at: new Date(0), origin: 'https://203.0.113.9', browser: 'Browser/140.0.0.0', server: 'switchboard 1', verdict: 'Fine.' }
  const checks = [{ title: 'STUN', url: 'stun:203.0.113.9:3478', outcome: { tone: 'ok', text: 'It sees you as 203.0.113.77:4000.' }, candidates: [candidate('srflx', '203.0.113.77')] }]
  const short = report(head, checks, false)
  assert.ok(!short.includes('113'), short)
  assert.ok(short.includes('Browser/140.0.0.0'), short)
  assert.equal(report(head, checks, true).match(/203\.0\.113\.77/g).length, 2)
})

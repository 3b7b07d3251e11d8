// js-ipfs pages of 2021 and of the last version find each other through webrtc-star alone and talk by pubsub; their links outlive the
// server, and when it is back newcomers are found; pages that list several servers find the peers of all. With STAR_REFERENCE=1 the same against the original server.
import { after, before, describe, test } from 'node:test'
import { openBrowsers } from './support/star-pages.mjs'
import { INTERVAL_MS, startStar, startStarOnSix } from './support/star.mjs'

const [OLD, NEW] = ['0.5.4', '0.18.1']

let browsers
before(async () => { browsers = await openBrowsers() })
after(async () => { await browsers?.close() })

const at = server => [`/ip4/127.0.0.1/tcp/${server.port}/ws/p2p-webrtc-star`]

/** As the chat page of 2021 has it: two names of one server. */
const twice = server => ['dns4', 'dns6'].map(name => `/${name}/localhost/tcp/${server.port}/ws/p2p-webrtc-star`)

const six = server => [`/dns6/localhost/tcp/${server.port}/ws/p2p-webrtc-star`]

/** Each hears a text of each other. */
async function talk(label, ...members) {
  await Promise.all(members.map(member => member.say(`${label} of ${member.id}`)))
  await Promise.all(members.flatMap(member => members.filter(other => other !== member).map(other => member.hears(`${label} of ${other.id}`))))
}

/** Not the interval of a server as it is, so that tests end; the protocol is the same. */
const SOON_MS = 2_000

async function story({ first, second, newcomer, stars, interval = SOON_MS, start = startStar }) {
  let server = await start({ interval })
  const visitors = []
  const visit = async ([browser, version]) => {
    const visitor = await browsers.visit(browser, version, stars(server))
    visitors.push(visitor)
    return visitor
  }
  try {
    const [ann, ben] = await Promise.all([visit(first), visit(second)])
    await Promise.all([ann.linked(ben), ben.linked(ann)])
    await talk('hello', ann, ben)

    await server.kill()
    await talk('without a server', ann, ben)

    server = await start({ port: server.port, interval })
    const cid = await visit(newcomer)
    await cid.linked(ann)
    await cid.linked(ben)
    await talk('after the restart', ann, ben, cid)
  } finally {
    await Promise.all(visitors.map(visitor => visitor.close()))
    await server.stop()
  }
}

/** Ann and Ben know a server each, and Cid knows both. */
async function several({ first, second, between, newcomer }) {
  const [one, other] = await Promise.all([startStar({ interval: SOON_MS }), startStar({ interval: SOON_MS })])
  const visitors = []
  const visit = async ([browser, version], ...servers) => {
    const visitor = await browsers.visit(browser, version, servers.flatMap(at))
    visitors.push(visitor)
    return visitor
  }
  try {
    const [ann, ben] = await Promise.all([visit(first, one), visit(second, other)])
    const cid = await visit(between, one, other)
    for (const person of [ann, ben]) await Promise.all([cid.linked(person), person.linked(cid)])
    await talk('hello', ann, ben, cid)

    await one.kill()
    const eve = await visit(newcomer, other)
    await Promise.all([eve.linked(ben), eve.linked(cid)])
    await talk('with one server less', ann, ben, cid, eve)
  } finally {
    await Promise.all(visitors.map(visitor => visitor.close()))
    await Promise.all([one.stop(), other.stop()])
  }
}

describe('pages find each other', { concurrency: false }, () => {
  for (const browser of ['Chromium', 'Firefox']) {
    const old = [browser, OLD]
    test(`old with old in ${browser}, under dns4 and dns6`, () => story({ first: old, second: old, newcomer: old, stars: twice }))
  }
  test('new with new', () => story({ first: ['Chromium', NEW], second: ['Firefox', NEW], newcomer: ['Firefox', NEW], stars: at }))
  test('old with new', () => story({ first: ['Chromium', OLD], second: ['Firefox', NEW], newcomer: ['Chromium', NEW], stars: at, interval: INTERVAL_MS }))
  test('new with old', () => story({ first: ['Firefox', NEW], second: ['Firefox', OLD], newcomer: ['Chromium', OLD], stars: at }))
  test('over IPv6 alone, under dns6', () => story({ first: ['Chromium', OLD], second: ['Firefox', NEW], newcomer: ['Firefox', OLD], stars: six, start: startStarOnSix }))
})

describe('pages that list two servers find the peers of both, and of the one that is left', { concurrency: false }, () => {
  test('old', () => several({ first: ['Chromium', OLD], second: ['Firefox', OLD], between: ['Chromium', OLD], newcomer: ['Firefox', OLD] }))
  test('new', () => several({ first: ['Chromium', NEW], second: ['Firefox', NEW], between: ['Firefox', NEW], newcomer: ['Chromium', NEW] }))
})

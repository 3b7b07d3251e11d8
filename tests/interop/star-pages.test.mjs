// js-ipfs pages of 2021 and of the last version find each other through webrtc-star alone and talk by pubsub; their links outlive the
// server, and when it is back newcomers are found. With STAR_REFERENCE=1 the same against the original server.
import { after, before, describe, test } from 'node:test'
import { openBrowsers } from './support/star-pages.mjs'
import { startStar } from './support/star.mjs'

const [OLD, NEW] = ['0.5.4', '0.18.1']

let browsers
before(async () => { browsers = await openBrowsers() })
after(async () => { await browsers?.close() })

const at = server => [`/ip4/127.0.0.1/tcp/${server.port}/ws/p2p-webrtc-star`]

/** As the chat page of 2021 has it: two names of one server. */
const twice = server => ['dns4', 'dns6'].map(name => `/${name}/localhost/tcp/${server.port}/ws/p2p-webrtc-star`)

/** Each hears a text of each other. */
async function talk(label, ...members) {
  await Promise.all(members.map(member => member.say(`${label} of ${member.id}`)))
  await Promise.all(members.flatMap(member => members.filter(other => other !== member).map(other => member.hears(`${label} of ${other.id}`))))
}

async function story({ first, second, newcomer, stars }) {
  let server = await startStar({ interval: 2_000 })
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

    server = await startStar({ port: server.port, interval: 2_000 })
    const cid = await visit(newcomer)
    await cid.linked(ann)
    await cid.linked(ben)
    await talk('after the restart', ann, ben, cid)
  } finally {
    await Promise.all(visitors.map(visitor => visitor.close()))
    await server.stop()
  }
}

describe('pages find each other', { concurrency: false }, () => {
  test('old with old, under dns4 and dns6', () => story({ first: ['Chromium', OLD], second: ['Chromium', OLD], newcomer: ['Chromium', OLD], stars: twice }))
  test('new with new', () => story({ first: ['Chromium', NEW], second: ['Firefox', NEW], newcomer: ['Chromium', NEW], stars: at }))
  test('old with new', () => story({ first: ['Chromium', OLD], second: ['Firefox', NEW], newcomer: ['Chromium', NEW], stars: at }))
  test('new with old', () => story({ first: ['Firefox', NEW], second: ['Firefox', OLD], newcomer: ['Chromium', OLD], stars: at }))
})

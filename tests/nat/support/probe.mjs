// Runs on a member's host: finds out from inside what stands between it and the reflector, and prints it as one JSON object.
// What must not arrive is given time by round trips on a way that is open, not by waiting.
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import { UDP_PORTS } from './reflector.mjs'

/** A datagram that is lost is sent again; between namespaces only a router loses one. */
const RESEND_MS = 200
/** Round trips after which what was sent before has come or will not. */
const AFTERWARDS = 3
/** Routers on the way, the Internet's included, are fewer. */
const FAR = 8

/** A socket that keeps what comes in. */
class Asking {
  #wake = () => {}

  constructor(port = 0) {
    this.socket = dgram.createSocket('udp4')
    this.answers = []
    this.socket.on('message', bytes => {
      this.answers.push(JSON.parse(bytes))
      this.#wake()
    })
    this.bound = once(this.socket.bind(port), 'listening')
  }

  /** Sends a question without waiting. @param {string} to  `address:port` */
  send(to, question) {
    const [address, port] = to.split(':')
    this.socket.send(JSON.stringify(question), Number(port), address)
  }

  /** The first answer to a question; null once `until` is fulfilled without one. */
  async ask(to, question, until) {
    const found = () => this.answers.find(({ id }) => id === question.id)
    let over = false
    void until?.then(() => {
      over = true
      this.#wake()
    })
    this.send(to, question)
    const again = setInterval(() => this.send(to, question), RESEND_MS)
    while (!found() && !over) await new Promise(resolve => { this.#wake = resolve })
    clearInterval(again)
    return found() ?? null
  }

  /** Returns when all that was asked before has been answered, or will not be. */
  async afterwards(to) {
    for (let trip = 0; trip < AFTERWARDS; trip += 1) {
      await this.ask(to, { id: `after ${trip}` })
      // One socket's datagrams may be read, and answered, several times before it is the turn of another socket's.
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  close() {
    this.socket.close()
  }
}

/** Whether a TCP connection brings the reflector's word. */
const reaches = (address, port) => new Promise(resolve => {
  const socket = net.connect(port, address)
  socket.once('data', () => resolve(true)).once('error', () => resolve(false))
  socket.once('close', () => resolve(false))
  // Only those that wait for it keep the program alive: one that a router swallows is left behind.
  socket.unref()
})

const open = async address => {
  for (let trip = 0; trip < AFTERWARDS; trip += 1) if (!await keepAlive(reaches(address, 443))) throw new Error('port 443 does not answer')
}

/** Waits for something that does not keep the program alive by itself. */
async function keepAlive(promise) {
  const timer = setInterval(() => {}, 1000)
  try {
    return await promise
  } finally {
    clearInterval(timer)
  }
}

async function probe([first, second], tcpPorts) {
  const [port, otherPort] = UDP_PORTS
  const here = `${first}:${port}`
  const tcp = await tcpReached(first, tcpPorts)
  const asking = new Asking()
  await asking.bound
  const answer = await keepAlive(asking.ask(here, { id: 'first' }, open(first)))
  if (!answer) return { mapping: null, filtering: null, tcp }
  const local = asking.socket.address().port
  const mapping = await mappingOf(asking, answer.seen, [`${second}:${port}`, `${second}:${otherPort}`])
  asking.close()
  return {
    mapping,
    filtering: await filteringOf(here, [`${first}:${otherPort}`, `${second}:${otherPort}`]),
    seen: answer.seen.split(':')[0],
    keepsPort: answer.seen.endsWith(`:${local}`),
    hops: await hopsTo(here),
    tcp,
  }
}

/** The ports that a connection reaches while others go through beside it. */
async function tcpReached(address, ports) {
  const reached = new Set()
  for (const port of ports) void reaches(address, port).then(is => is && reached.add(port))
  await open(address)
  return ports.filter(port => reached.has(port))
}

async function mappingOf(asking, seen, [elsewhere, otherPort]) {
  const { seen: fromElsewhere } = await asking.ask(elsewhere, { id: 'elsewhere' })
  const { seen: fromOtherPort } = await asking.ask(otherPort, { id: 'other-port' })
  if (seen === fromElsewhere && seen === fromOtherPort) return 'endpoint-independent'
  return fromElsewhere === fromOtherPort ? 'address-dependent' : 'address-and-port-dependent'
}

/** Has others answer than the one that was asked, and one answer where nothing was ever sent from. */
async function filteringOf(here, [sameAddress, elsewhere]) {
  const asking = new Asking()
  await asking.bound
  const silent = new Asking(asking.socket.address().port + 1)
  await silent.bound
  await asking.ask(here, { id: 'open' })
  asking.send(here, { id: 'unasked', via: [sameAddress, elsewhere] })
  asking.send(here, { id: 'unmapped', via: [elsewhere], shift: 1 })
  await asking.afterwards(here)
  const heard = from => asking.answers.some(answer => answer.id === 'unasked' && answer.from === from)
  const found = silent.answers.length ? 'none' : heard(elsewhere) ? 'endpoint-independent'
    : heard(sameAddress) ? 'address-dependent' : 'address-and-port-dependent'
  asking.close()
  silent.close()
  return found
}

/** Routers on the way: the fewest that a datagram must be allowed to pass, less one. */
async function hopsTo(here) {
  const asking = new Asking()
  await asking.bound
  // Those that are allowed too little die on the way; what comes back last was allowed the most.
  for (let ttl = 1; ttl <= FAR; ttl += 1) {
    asking.socket.setTTL(ttl)
    await new Promise(sent => asking.socket.send(JSON.stringify({ id: ttl }), ...target(here), sent))
  }
  await asking.afterwards(here)
  asking.close()
  return Math.min(...asking.answers.map(({ id }) => id).filter(Number.isInteger)) - 1
}

const target = name => [Number(name.split(':')[1]), name.split(':')[0]]

const [addresses, tcpPorts] = process.argv.slice(2).map(list => list.split(','))
console.log(JSON.stringify(await probe(addresses, tcpPorts.map(Number))))
// A connection attempt that a router swallows would keep the program for minutes.
process.exit()

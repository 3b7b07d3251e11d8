// The Internet in small: one router to which everybody has a line of their own, a server with two addresses, and members at
// home behind the routers of their kind. Addresses are such as the Internet gives out: the server's rules against relaying
// into private ranges hold here as they do outside.
import { Host, removeLeftovers } from './namespaces.mjs'
import { INSIDE, kinds, SUBSCRIBER_PORTS } from './kinds.mjs'

/** The server's addresses; the second is for what shares a port with the first, and for asking a NAT from elsewhere. */
export const SERVER = ['5.1.0.2', '5.1.0.3']

export class Lab {
  #hosts = []
  #lines = 0

  constructor() {
    removeLeftovers()
    this.internet = this.#host('internet')
    this.internet.route()
    this.server = this.#host('server')
    this.internet.cable('server', '5.1.0.1/24', this.server, 'eth0', `${SERVER[0]}/24`)
    this.server.ip('address', 'add', `${SERVER[1]}/24`, 'dev', 'eth0')
    this.server.ip('route', 'add', 'default', 'via', '5.1.0.1')
  }

  #host(name) {
    const host = new Host(name)
    this.#hosts.push(host)
    return host
  }

  /** A member's host behind routers of a kind, on a line of its own. @param {import('./kinds.mjs').KindId} id @param {string} name */
  member(id, name) {
    this.#lines += 1
    const near = `5.1.${this.#lines}.1`
    const far = `5.1.${this.#lines}.2`
    const kind = kinds(far).find(kind => kind.id === id)
    // From the Internet inwards: what is plugged in last is the member.
    let outer = { host: this.internet, port: `line${this.#lines}`, address: near }
    const home = kind.rules.length
    kind.rules.toReversed().forEach((rules, index) => {
      const router = this.#host(`${name}-router${home - index}`)
      this.#join(outer, router, 'wan', index === 0 ? far : '100.64.0.2')
      router.route(rules)
      outer = { host: router, port: 'lan', address: index === home - 1 ? '192.168.1.1' : '100.64.0.1' }
    })
    const host = this.#host(name)
    this.#join(outer, host, 'eth0', home ? INSIDE : far)
    if (id === 'cgnat') host.sysctl('net/ipv4/ip_local_port_range', SUBSCRIBER_PORTS.join(' '))
    return { id, kind, host, name, address: home ? INSIDE : far, publicAddress: far }
  }

  #join(outer, host, port, address) {
    outer.host.cable(outer.port, `${outer.address}/24`, host, port, `${address}/24`)
    host.ip('route', 'add', 'default', 'via', outer.address)
  }

  destroy() {
    for (const host of this.#hosts.toReversed()) host.destroy()
  }
}

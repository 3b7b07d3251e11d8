// Hosts of our own on an Ethernet of our own: network namespaces joined by a bridge, so that a test can pull a cable.
import { execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] })

/** Why namespaces cannot be made here; undefined where they can. */
export function unavailable() {
  if (process.platform !== 'linux') return 'network namespaces are a Linux feature'
  const name = `sbprobe${process.pid}`
  try {
    ip('netns', 'add', name)
    ip('netns', 'del', name)
  } catch (error) {
    return `network namespaces cannot be made here (needs root and iproute2): ${String(error.stderr ?? error.message).trim()}`
  }
}

/** Why there can be no packet filter on such a host; undefined where there can. */
export function unfiltered() {
  try {
    execFileSync('nft', ['--version'], { stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    return `packets cannot be dropped here (needs nftables): ${error.message}`
  }
}

/** One host: a namespace with one interface on the common segment. */
class Host {
  #network

  constructor(network, name, number) {
    this.#network = network
    this.namespace = `${network.prefix}${name}`
    this.interface = `v${network.prefix}${number}`
    this.address = `10.77.0.${number}`
  }

  /** Runs `ip` inside. */
  ip(...args) {
    ip('-n', this.namespace, ...args)
  }

  /** Pulls the cable. */
  unplug() {
    this.ip('link', 'set', 'eth0', 'down')
  }

  /** Plugs it in again; the kernel forgot the routes. */
  plug() {
    this.ip('link', 'set', 'eth0', 'up')
    this.ip('route', 'replace', 'default', 'via', this.#network.gateway)
  }

  /** Moves to another address, as a phone does between networks. */
  readdress(address) {
    this.ip('address', 'flush', 'dev', 'eth0', 'scope', 'global')
    this.address = address
    this.ip('address', 'add', `${address}/24`, 'dev', 'eth0')
    this.ip('route', 'replace', 'default', 'via', this.#network.gateway)
  }

  /** Filters its packets. @param {string} rules  An nftables ruleset, added to those before. */
  filter(rules) {
    execFileSync('ip', ['netns', 'exec', this.namespace, 'nft', '-f', '-'], { input: rules, stdio: ['pipe', 'pipe', 'pipe'] })
  }

  /** A file that runs `program` inside, for launchers that take an executable's path. */
  wrapper(program) {
    const file = path.join(this.#network.folder, `${this.namespace}-${path.basename(program)}`)
    fs.writeFileSync(file, `#!/bin/sh\nexec ip netns exec ${this.namespace} ${program} "$@"\n`, { mode: 0o755 })
    return file
  }

  /** Starts `program` inside. */
  spawn(program, args, options) {
    const child = spawn('ip', ['netns', 'exec', this.namespace, program, ...args], options)
    this.#network.children.push(child)
    return child
  }
}

/** A segment with hosts; `destroy` ends what runs in them and takes them away. */
export class Network {
  /** @param {string[]} names of the hosts */
  constructor(names) {
    this.prefix = `sb${process.pid % 100000}`
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'switchboard-net-'))
    this.gateway = '10.77.0.1'
    this.children = []
    this.bridge = `${this.prefix}bridge`
    ip('netns', 'add', this.bridge)
    ip('-n', this.bridge, 'link', 'add', 'br0', 'type', 'bridge')
    ip('-n', this.bridge, 'address', 'add', `${this.gateway}/24`, 'dev', 'br0')
    ip('-n', this.bridge, 'link', 'set', 'br0', 'up')
    this.hosts = Object.fromEntries(names.map((name, index) => [name, this.#addHost(name, index + 2)]))
  }

  #addHost(name, number) {
    const host = new Host(this, name, number)
    ip('netns', 'add', host.namespace)
    ip('link', 'add', host.interface, 'netns', this.bridge, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host.namespace)
    ip('-n', this.bridge, 'link', 'set', host.interface, 'master', 'br0', 'up')
    host.ip('link', 'set', 'lo', 'up')
    // An address of IPv6 would be there a second or two later, and Chromium breaks off what it loads when an address comes.
    host.ip('link', 'set', 'eth0', 'addrgenmode', 'none')
    host.ip('address', 'add', `${host.address}/24`, 'dev', 'eth0')
    host.plug()
    return host
  }

  async destroy() {
    for (const child of this.children) if (child.exitCode === null) child.kill('SIGKILL')
    for (const namespace of [this.bridge, ...Object.values(this.hosts).map(host => host.namespace)]) {
      try {
        ip('netns', 'del', namespace)
      } catch (error) {
        console.error(`namespace ${namespace} stays: ${error.message}`)
      }
    }
    fs.rmSync(this.folder, { recursive: true, force: true })
  }
}

// Network namespaces of one run: their names tell who made them, so that a later run can take away what a killed one left.
import { execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** Runs a program to its end; what it complains of is in the error. */
function run(program, args, input) {
  try {
    return execFileSync(program, args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
  } catch (error) {
    throw new Error(`${program} ${args.join(' ')}: ${(error.stderr || error.message).trim()}`)
  }
}

/** When a process began, in clock ticks since the machine's start; undefined if there is none. */
function beginning(pid) {
  try {
    // The second field, the program's name in parentheses, may hold spaces; what we want is the 22nd.
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[19]
  } catch {
    return undefined
  }
}

/** Before each name of this process. The beginning tells it from a later process with the same number. */
const PREFIX = `sbnat-${process.pid}-${beginning(process.pid)}-`
const ANY = /^sbnat-(\d+)-(\d+)-/

/** Takes away the namespaces and folders of runs that are dead, and ends what still runs in them. */
export function removeLeftovers() {
  const dead = name => {
    const maker = ANY.exec(name)
    return maker && beginning(maker[1]) !== maker[2]
  }
  run('ip', ['netns', 'list']).split('\n').map(line => line.split(' ')[0]).filter(dead).forEach(remove)
  for (const name of fs.readdirSync(os.tmpdir()).filter(dead)) fs.rmSync(path.join(os.tmpdir(), name), { recursive: true, force: true })
}

/** Ends what runs in a namespace, and deletes it with its interfaces and rules. */
function remove(name) {
  for (const pid of run('ip', ['netns', 'pids', name]).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch (error) {
      if (error.code !== 'ESRCH') throw error
    }
  }
  run('ip', ['netns', 'del', name])
}

/** Why there can be no lab here; undefined where there can. */
export function unavailable() {
  if (process.platform !== 'linux') return 'network namespaces are a Linux feature'
  const name = `${PREFIX}probe`
  try {
    run('ip', ['netns', 'add', name])
  } catch (error) {
    return `network namespaces cannot be made here (needs root and iproute2): ${error.message}`
  }
  try {
    forwards(name)
    run('ip', ['netns', 'exec', name, 'nft', '-f', '-'], 'add table ip t; add chain ip t c { type nat hook postrouting priority srcnat; }')
  } catch (error) {
    return `a router with NAT cannot be made here (needs nftables): ${error.message}`
  } finally {
    remove(name)
  }
}

const forwards = name => run('ip', ['netns', 'exec', name, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])

/** A host of the lab. */
export class Host {
  #children = []
  #folder = ''

  /** @param {string} name  Unique within the run. */
  constructor(name) {
    this.name = name
    this.namespace = PREFIX + name
    run('ip', ['netns', 'add', this.namespace])
    this.ip('link', 'set', 'lo', 'up')
  }

  /** Runs `ip` inside. */
  ip(...args) {
    run('ip', ['-n', this.namespace, ...args])
  }

  /** Lays a cable to `other` and gives both ends a name and an address with its prefix. */
  cable(name, address, other, otherName, otherAddress) {
    this.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', otherName, 'netns', other.namespace)
    this.plug(name, address)
    other.plug(otherName, otherAddress)
  }

  plug(name, address) {
    this.ip('address', 'add', address, 'dev', name)
    this.ip('link', 'set', name, 'up')
  }

  /** Makes it a router. @param {string} [rules]  An nftables ruleset. */
  route(rules) {
    forwards(this.namespace)
    if (rules) run('ip', ['netns', 'exec', this.namespace, 'nft', '-f', '-'], rules)
  }

  /** A kernel setting of this host alone. */
  sysctl(key, value) {
    run('ip', ['netns', 'exec', this.namespace, 'sh', '-c', `echo '${value}' > /proc/sys/${key}`])
  }

  /** Starts `program` inside. */
  spawn(program, args, options) {
    const child = spawn('ip', ['netns', 'exec', this.namespace, program, ...args], options)
    this.#children.push(child)
    return child
  }

  /** For files that are gone with the host. */
  folder() {
    if (!this.#folder) fs.mkdirSync(this.#folder = path.join(os.tmpdir(), this.namespace), { mode: 0o700 })
    return this.#folder
  }

  /** A file that runs `program` inside, for launchers that take an executable's path. */
  wrapper(program) {
    const file = path.join(this.folder(), path.basename(program))
    fs.writeFileSync(file, `#!/bin/sh\nexec ip netns exec ${this.namespace} ${program} "$@"\n`, { mode: 0o755 })
    return file
  }

  destroy() {
    for (const child of this.#children) if (child.exitCode === null) child.kill('SIGKILL')
    remove(this.namespace)
    if (this.#folder) fs.rmSync(this.#folder, { recursive: true, force: true })
  }
}

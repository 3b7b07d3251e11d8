// The program under test, started on a free port and ended with the test.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import path from 'node:path'

const BINARY = path.resolve(process.env.SERVER_UNDER_TEST ?? path.join(import.meta.dirname, '../../../target/debug/switchboard'))

/** How long a start may take on a machine that does other things as well. */
const START_MS = 20_000

/**
 * Starts the server.
 * @param {number} [port]  The one that it had before, for a restart.
 * @param {string[]} [flags]  What differs from the defaults.
 * @returns  Among others `serving`, a promise of what its log says about the addresses it has.
 */
export async function startServer(port = 0, flags = []) {
  // Not the usual port, which other tests may have at the same time.
  const turn = flags.includes('--turn-listen') ? [] : ['--turn-listen', '127.0.0.1:0']
  const child = spawn(BINARY, ['serve', '--listen', `127.0.0.1:${port}`, ...turn, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
  // Its log is JSON where nobody watches.
  const serving = new Promise(resolve => createInterface(child.stderr).on('line', line => {
    if (/"message":"serving"/.test(line)) resolve(JSON.parse(line))
  }))
  const url = await listening(child)
  const end = async signal => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
  /** What the server counts: the value of every series, by its name with its labels. Needs the flag `--admin-listen`. */
  const counters = async () => {
    const text = await (await fetch(`http://${(await serving).admin}/metrics`)).text()
    return Object.fromEntries(text.split('\n').filter(line => line && !line.startsWith('#')).map(line => {
      const space = line.lastIndexOf(' ')
      return [line.slice(0, space), Number(line.slice(space + 1))]
    }))
  }
  return { url, counters, serving, port: Number(new URL(url).port), kill: () => end('SIGKILL'), stop: () => end('SIGTERM') }
}

/** Resolves with the first address that a server prints; rejects with all that it said if it ends before, or takes too long. */
export async function listening(child) {
  const said = []
  child.stderr.on('data', data => said.push(data))
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => fail('did not say where it listens'), START_MS)
    const fail = why => {
      clearTimeout(late)
      reject(new Error(`${child.spawnargs[0]} ${why}:\n${said.join('')}`))
    }
    child.once('error', error => fail(error.message))
    child.once('exit', code => fail(`ended with ${code}`))
    createInterface(child.stdout).on('line', line => {
      said.push(`${line}\n`)
      const found = /Listening on (http:\S+)/.exec(line)
      if (!found) return
      clearTimeout(late)
      resolve(found[1])
    })
  })
}

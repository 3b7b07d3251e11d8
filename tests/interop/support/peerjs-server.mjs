// What is under test: the program, or, with PEERJS_REFERENCE=1, npm `peer`, so that the suite proves what there was before.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { startServer } from '../../browser/support/server.mjs'

/** Whether the original runs under the tests, in place of the program. */
export const REFERENCE = process.env.PEERJS_REFERENCE === '1'

const ORIGINAL = path.join(import.meta.dirname, 'peerjs-original.mjs')

/**
 * Starts what is under test.
 * @param {{port?: number, keys?: string[], path?: string, discovery?: boolean, expire?: number, alive?: number, limit?: number, origins?: string[]}} [settings]
 *     Times in milliseconds.
 * @param {string[]} [flags]  More, for the program alone.
 */
export const start = (settings = {}, flags = []) => REFERENCE ? startOriginal(settings) : startOurs(settings, flags)

/** Starts the program. */
export function startOurs({ port = 0, keys = [], path, discovery, expire, alive, limit, origins = [] } = {}, flags = []) {
  const set = (name, value, text = value) => value === undefined ? [] : ['--set', `peerjs.${name}=${text}`]
  return startServer(port, [
    ...keys.flatMap(key => ['--peerjs-key', key]), ...path ? ['--peerjs-path', path] : [], ...origins.flatMap(origin => ['--peerjs-origin', origin]),
    ...set('allow_discovery', discovery), ...set('expire_timeout', expire, `${expire}ms`), ...set('alive_timeout', alive, `${alive}ms`),
    ...set('concurrent_limit', limit), ...flags,
  ])
}

/** Starts the original. */
export async function startOriginal({ port = 0, keys = ['peerjs'], path = '/', discovery = false, expire = 5000, alive = 60_000, limit = 5000, origins = [] } = {}) {
  const settings = {
    port, path, key: keys[0], allow_discovery: discovery, expire_timeout: expire, alive_timeout: alive, concurrent_limit: limit,
    ...origins.length && { corsOptions: { origin: origins } },
  }
  const child = spawn(process.execPath, [ORIGINAL, JSON.stringify(settings)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const failed = once(child, 'exit').then(([code]) => { throw new Error(`the original ended with ${code}`) })
  failed.catch(() => {})
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), failed])
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  return { url: `http://127.0.0.1:${line}`, port: Number(line), stop: end, kill: end }
}

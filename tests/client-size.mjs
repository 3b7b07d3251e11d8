// Fails when the browser client and the modules that it imports are, each as the server sends it (without whole-line
// comments, compressed with brotli), more than LIMIT bytes together.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { brotliCompressSync, constants } from 'node:zlib'
import { withoutComments } from './lean.mjs'

/** "Under 20 kB": a page must load at once, even on a phone. */
const LIMIT = 20_000

const COMMENT = /\/\*[^]*?\*\//g
const NAMES = String.raw`[\w$*{},\s]+`
const IMPORT = new RegExp(
  String.raw`^\s*(?:import|export)\s(?:${NAMES}\bfrom)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)`, 'gm')

/** Adds `file` and all that it imports to `sizes`, a map of path to compressed bytes. */
function measure(file, sizes) {
  if (sizes.has(file)) return
  const source = readFileSync(file, 'utf8')
  const served = Buffer.from(withoutComments(source))
  sizes.set(file, brotliCompressSync(served, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: served.length },
  }).length)
  for (const [, eager, lazy] of source.replace(COMMENT, '').matchAll(IMPORT)) {
    const target = eager ?? lazy
    if (!target.startsWith('.')) throw new Error(`${file} imports ${target}: the client must have no dependency`)
    measure(path.join(path.dirname(file), target), sizes)
  }
}

const sizes = new Map()
measure(process.argv[2], sizes)
let total = 0
for (const [file, bytes] of sizes) {
  console.log(`${bytes.toString().padStart(7)} bytes  ${file}`)
  total += bytes
}
console.log(`${total.toString().padStart(7)} bytes  together, of at most ${LIMIT}`)
if (total > LIMIT) {
  console.error(`The browser client is ${total - LIMIT} bytes too large: shorten it, or move a part behind the page.`)
  process.exitCode = 1
}

// What the pairs' paths were, as Markdown, and its place in docs/nat.md.
import fs from 'node:fs'
import path from 'node:path'
import { KIND_IDS, kinds } from './kinds.mjs'

const DOCUMENT = path.join(import.meta.dirname, '../../../docs/nat.md')
const BEGIN = '<!-- Measured by tests/nat/pairs.test.mjs with NAT_TABLE=write -->'
const END = '<!-- end of what was measured -->'

const titles = new Map(kinds('').map(({ id, title }) => [id, title]))
const row = cells => `| ${cells.join(' | ')} |`
const head = cells => [row(cells), row(cells.map(() => '---'))]

/** How one end comes to its relay. */
const leg = ({ relayProtocol, relayUrl }) => `${relayProtocol.toUpperCase()} to port ${/:(\d+)(\?|$)/.exec(relayUrl)[1]}`
const legs = paths => paths.filter(({ local }) => local === 'relay').map(leg)

function matrix(results) {
  const cell = (one, other) => {
    const { paths } = results.find(({ kinds: [a, b] }) => (a === one && b === other) || (a === other && b === one))
    return paths[0].kind === 'direct' ? '**direct**' : `relay: ${[...new Set(paths.map(({ relayProtocol }) => relayProtocol).filter(Boolean))].toSorted().join(', ')}`
  }
  return [
    ...head(['', ...KIND_IDS.map(id => titles.get(id))]),
    ...KIND_IDS.map((one, index) => row([`**${titles.get(one)}**`, ...KIND_IDS.map((other, column) => (column < index ? '' : cell(one, other)))])),
  ]
}

function list(results) {
  const ordered = results.toSorted((a, b) => position(a) - position(b))
  return [
    ...head(['one', 'other', 'path', 'candidates', 'protocol between the candidates', 'to the relay']),
    ...ordered.map(({ kinds: pair, paths }) => row([
      ...pair.map(id => titles.get(id)), paths[0].kind, paths.map(({ local }) => `\`${local}\``).join(' – '), paths[0].protocol.toUpperCase(),
      legs(paths).join('; ') || '–',
    ])),
  ]
}

const position = ({ kinds: [one, other] }) => KIND_IDS.indexOf(one) * KIND_IDS.length + KIND_IDS.indexOf(other)

/** @param {{ kinds: [string, string], paths: object[] }[]} results  Of all pairs. */
export const tables = results => [...matrix(results), '', ...list(results)].join('\n')

/** Puts the tables in the place of those of another run. */
export function writeTables(results) {
  const text = fs.readFileSync(DOCUMENT, 'utf8')
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} has no place for the tables`)
  fs.writeFileSync(DOCUMENT, `${text.slice(0, begin + BEGIN.length)}\n\n${tables(results)}\n\n${text.slice(end)}`)
}

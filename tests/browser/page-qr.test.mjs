// The page's QR codes, read back by an independent decoder, and the page's colours, measured as WCAG 2 does.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import jsQR from 'jsqr'
import { HUES } from '../../web/app/colours.js'
import { QR_BYTES, qrModules } from '../../web/app/qr.js'

/** Draws modules as the page does: four light ones around; each takes 3 by 3 pixels. */
function pixels(modules) {
  const scale = 3
  const quiet = 4
  const width = (modules.length + 2 * quiet) * scale
  const data = new Uint8ClampedArray(width * width * 4).fill(255)
  for (let y = 0; y < width; y++) for (let x = 0; x < width; x++) {
    if (modules[Math.floor(y / scale) - quiet]?.[Math.floor(x / scale) - quiet]) data.fill(0, (y * width + x) * 4, (y * width + x) * 4 + 3)
  }
  return { data, width }
}

function read(modules) {
  const { data, width } = pixels(modules)
  return jsQR(data, width, width)?.data
}

test('every length that fits is read back, through all ten versions', () => {
  const sizes = new Set()
  for (let length = 1; length <= QR_BYTES; length++) {
    const text = Array.from({ length }, (_, i) => String.fromCharCode(33 + (i * 7 + length * 13) % 90)).join('')
    const modules = qrModules(text)
    sizes.add(modules.length)
    assert.equal(read(modules), text, `${length} bytes`)
  }
  assert.deepEqual([...sizes], Array.from({ length: 10 }, (_, i) => 21 + 4 * i))
})

test('a link is read back although 36 of its modules are spoiled', () => {
  const link = 'https://switchboard.example.org/?roomId=aUa62LD8NZ'
  const modules = qrModules(link)
  for (let y = 12; y < 18; y++) for (let x = 12; x < 18; x++) modules[y][x] = !modules[y][x]
  assert.equal(read(modules), link)
})

test('a text that is too long is refused', () => {
  assert.throws(() => qrModules('x'.repeat(QR_BYTES + 1)), RangeError)
  assert.throws(() => qrModules('é'.repeat(QR_BYTES / 2 + 1)), RangeError)
})

const css = fs.readFileSync(new URL('../../web/app/tokens.css', import.meta.url), 'utf8')

/** The custom properties of the first `:root` block after a place in the style sheet. */
function scheme(from) {
  const block = /:root \{([^}]*)\}/.exec(css.slice(css.indexOf(from)))[1]
  return Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(match => [match[1], match[2]]))
}

function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a, b) {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (light + 0.05) / (dark + 0.05)
}

const light = scheme(':root')
const dark = { ...light, ...scheme('@media (prefers-color-scheme: dark)') }
const hues = [...css.matchAll(/\.hue-\d \{ --on-paper: (#\w+); --on-board: (#\w+); \}/g)].map(match => ({ paper: match[1], board: match[2] }))

test('there is a class for every hue', () => assert.equal(hues.length, HUES))

for (const [name, colours] of Object.entries({ light, dark })) {
  test(`every text of the ${name} scheme has a contrast of 4.5 or more`, () => {
    const pairs = [['ink', 'paper'], ['ink', 'card'], ['ink', 'mine'], ['quiet', 'paper'], ['quiet', 'card'], ['accent', 'paper'], ['accent', 'card'], ['accent', 'mine'],
      ['on-accent', 'accent'], ['on-accent', 'accent-hover'], ['board-ink', 'board'], ['board-quiet', 'board'], ['board-quiet', 'board-raised'], ['busy', 'board'], ['busy', 'board-raised'],
      ['strip-ink', 'strip'], ['warn-ink', 'warn-ground'], ['error-ink', 'error-ground'], ['info-ink', 'info-ground'], ['failed', 'paper']]
    for (const [text, ground] of pairs) assert.ok(contrast(colours[text], colours[ground]) >= 4.5, `${text} on ${ground}: ${contrast(colours[text], colours[ground])}`)
  })

  test(`every name of the ${name} scheme has a contrast of 4.5 or more, and every control one of 3`, () => {
    for (const hue of hues) {
      for (const ground of ['paper', 'card']) assert.ok(contrast(name === 'light' ? hue.paper : hue.board, colours[ground]) >= 4.5, `${hue.paper} on ${ground}`)
      assert.ok(contrast(hue.board, colours.board) >= 3)
    }
    for (const lamp of ['ok', 'busy', 'warn', 'off', 'brass', 'strip']) assert.ok(contrast(colours[lamp], colours.board) >= 3, lamp)
    for (const ground of ['paper', 'card']) assert.ok(contrast(colours.edge, colours[ground]) >= 3, `edge on ${ground}: ${contrast(colours.edge, colours[ground])}`)
  })
}

// What is served of the modules is what was written: without the comments, and with nothing else changed.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import ts from 'typescript'
import { withoutComments } from '../lean.mjs'
import { startServer } from './support/server.mjs'

const web = path.join(import.meta.dirname, '../../web')
const modules = fs.readdirSync(web, { recursive: true }).map(String)
  .filter(name => name.endsWith('.js') && !name.includes('node_modules') && !name.endsWith('.test.js'))

let server
before(async () => { server = await startServer() })
after(async () => { await server?.stop() })

/** The program alone, as TypeScript's own parser reads it. */
const meaning = source => ts.transpileModule(source, {
  compilerOptions: { removeComments: true, target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
}).outputText

test('each module is served without its comment lines, line for line, and means the same', async () => {
  assert.ok(modules.length > 20, modules.join(' '))
  for (const name of modules) {
    const source = fs.readFileSync(path.join(web, name), 'utf8')
    const served = await (await fetch(`${server.url}/${name.replaceAll(path.sep, '/')}`)).text()
    assert.equal(served, withoutComments(source), `${name}: the server's rule and the one of the size check differ`)
    assert.equal(served.split('\n').length, source.split('\n').length, name)
    assert.equal(meaning(served), meaning(source), `${name}: something other than comments was left out`)
  }
})

test('the comparison notices a template literal that loses a line', () => {
  const source = 'f(`\n// not a comment\n`)\n'
  assert.notEqual(meaning(withoutComments(source)), meaning(source))
})

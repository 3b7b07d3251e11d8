// Talking: texts, files, receipts, arrivals and departures, unread messages; and that text stays text.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { after, before, test } from 'node:test'
import { connected, happened, heard, inRoom, nothingUntoward, openFromBar, receipt, said, say, visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

let server
let browser
before(async () => {
  browser = await launch()
  server = await startServer()
})
after(async () => { await browser?.close(); await server?.stop() })

/** Opens a room with this many people in it, each connected to each. */
async function room(n, options = {}) {
  const first = await visit(browser, server.url, options)
  const people = [first]
  while (people.length < n) people.push(await visit(browser, server.url, { ...options, path: first.page.url() }))
  await Promise.all(people.map(({ page }) => connected(page, n - 1)))
  return people
}

const leave = people => Promise.all(people.map(({ page }) => page.context().close()))

test('two people open the link and talk', async () => {
  const people = await room(2)
  const [ann, ben] = people.map(person => person.page)
  await say(ann, 'Hello Ben')
  await heard(ben, 'Hello Ben').waitFor()
  await receipt(ann, 'Hello Ben', 'Delivered')
  await say(ben, 'Hello Ann,\nhow are you?')
  await heard(ann, 'how are you?').waitFor()
  assert.equal(await heard(ann, 'how are you?').textContent(), 'Hello Ann,\nhow are you?')
  assert.equal(await ann.locator('#invite').isVisible(), false)
  const names = await Promise.all([ann, ben].map(page => page.locator('#self-name').textContent()))
  assert.ok((await happened(ann)).includes(`${names[1]} joined.`))
  assert.ok((await happened(ben)).includes(`You joined. ${names[0]} is here.`))
  for (const page of [ann, ben]) {
    await page.locator('.line-entry', { hasText: /^You and .+ are connected directly/ }).waitFor()
    await page.locator('.line-how', { hasText: /^Direct · UDP · (under )?\d+ ms$/ }).waitFor()
  }
  nothingUntoward(...people)
  await leave(people)
})

test('three people form a mesh, and each message reaches both others', async () => {
  const people = await room(3)
  for (const [i, { page }] of people.entries()) {
    await say(page, `from number ${i}`)
    for (const other of people) if (other.page !== page) await heard(other.page, `from number ${i}`).waitFor()
    await receipt(page, `from number ${i}`, 'Delivered to both')
  }
  const marks = said(people[0].page, 'from number 0').locator('.receipt')
  await marks.getByRole('button').focus()
  assert.equal(await marks.locator('li:visible', { hasText: 'delivered' }).count(), 2)
  assert.equal(await people[0].page.locator('#board-count').textContent(), '3')
  nothingUntoward(...people)
  await leave(people)
})

test('how one is connected is shown with candidate types, protocol, traffic and trace', async () => {
  const people = await room(2)
  const { page } = people[0]
  await page.locator('.lines details summary').click()
  for (const term of ['Path', 'Your side', 'Their side', 'Protocol', 'Round trip', 'Sent', 'Received', 'Trace']) {
    await page.locator('.facts dt', { hasText: term }).first().waitFor()
  }
  await openFromBar(page, '#open-about')
  await page.getByText('0: the page has no way to send one there').waitFor()
  await page.getByText(/sent and .* received over 1 connection/).waitFor()
  nothingUntoward(...people)
  await leave(people)
})

test('who leaves, and who closes the tab, is told of once', async () => {
  const people = await room(3)
  const [ann, ben, cem] = people.map(person => person.page)
  const [, benName, cemName] = await Promise.all([ann, ben, cem].map(page => page.locator('#self-name').textContent()))
  await openFromBar(ben, '#open-leave')
  await ben.getByRole('button', { name: 'Leave the room' }).click()
  await ann.locator('.line-entry', { hasText: `${benName} left.` }).waitFor()
  await cem.close()
  await ann.locator('.line-entry', { hasText: `${cemName} left.` }).or(ann.locator('.line-entry', { hasText: `${cemName} is gone` })).waitFor()
  await ann.locator('#board-count', { hasText: /^1$/ }).waitFor()
  const lines = await happened(ann)
  for (const name of [benName, cemName]) assert.equal(lines.filter(line => line.startsWith(name) && /left|gone/.test(line)).length, 1, lines.join('\n'))
  nothingUntoward(...people)
  await leave(people.slice(0, 2))
})

test('markup in names and messages stays text', async () => {
  const attack = '<img src=x onerror="document.title=`owned`"><script>alert(1)</script>'
  const people = await room(2)
  const [ann, ben] = people.map(person => person.page)
  await ben.locator('#rename').click()
  await ben.locator('#name-field').fill('<img src=x onerror=alert(1)>')
  await ben.getByRole('button', { name: 'Use this name' }).click()
  await ann.locator('.line-name', { hasText: '<img src=x onerror=alert(1)>' }).waitFor()
  await say(ben, attack)
  await heard(ann, attack).waitFor()
  await say(ben, 'javascript:alert(1) https://a.example/?<b>"onclick=x data:text/html,<script>alert(1)</script>')
  const last = heard(ann, 'javascript:alert(1)')
  await last.waitFor()
  assert.deepEqual(await last.locator('a').evaluateAll(links => links.map(({ href, rel, target }) => ({ href, rel, target }))),
    [{ href: 'https://a.example/', rel: 'noopener noreferrer', target: '_blank' }])
  for (const page of [ann, ben]) {
    assert.equal(await page.locator('#log :is(img, script, b, iframe, [onerror], [onclick])').count(), 0)
    assert.doesNotMatch(await page.title(), /owned/)
  }
  nothingUntoward(...people)
  await leave(people)
})

test('a file goes with progress and arrives whole, under a safe name', async () => {
  const people = await room(2)
  const [ann, ben] = people.map(person => person.page)
  const bytes = Buffer.alloc(5_000_000, (_, i) => i * 31)
  for (let i = 0; i < bytes.length; i += 7) bytes[i] = (i * 2654435761) >>> 24
  await ann.locator('#file').setInputFiles({ name: 'sec:ret <plan>.bin', mimeType: 'application/x-plan', buffer: bytes })
  await ann.locator('.mine progress').waitFor()
  const save = ben.getByRole('button', { name: /^Save / })
  await save.waitFor()
  assert.equal(await ben.locator('.theirs .file-name').textContent(), 'secret plan.bin')
  const [download] = await Promise.all([ben.waitForEvent('download'), save.click()])
  assert.equal(download.suggestedFilename(), 'secret plan.bin')
  const digest = data => createHash('sha256').update(data).digest('hex')
  assert.equal(digest(fs.readFileSync(await download.path())), digest(bytes))
  await receipt(ann, 'plan', 'Delivered')
  await ann.locator('.mine progress').waitFor({ state: 'detached' })
  nothingUntoward(...people)
  await leave(people)
})

test('a message that cannot be shown is not lost without a word, and the next one is shown', async () => {
  const people = await room(2)
  const [ann, ben] = people.map(person => person.page)
  await ben.evaluate(() => { URL.createObjectURL = () => { throw new Error('no more of these') } })
  const picture = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
  await ann.locator('#file').setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: picture })
  const name = await ann.locator('#self-name').textContent()
  await ben.getByRole('alert').filter({ hasText: `A message from ${name} could not be shown.` }).waitFor()
  await say(ann, 'Did you get it?')
  await heard(ben, 'Did you get it?').waitFor()
  assert.match(people[1].faults.join(), /^error: Error: no more of these/)
  await leave(people)
})

test('a picture is shown as one, a page is only offered to be saved', async () => {
  const people = await room(2)
  const [ann, ben] = people.map(person => person.page)
  const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
  await ann.locator('#file').setInputFiles([
    { name: 'dot.png', mimeType: 'image/png', buffer: png },
    { name: 'page.html', mimeType: 'text/html', buffer: Buffer.from('<script>opener.alert(1)</script>') },
    { name: 'drawing.svg', mimeType: 'image/svg+xml', buffer: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>') },
  ])
  await ben.getByRole('img', { name: 'Picture: dot.png' }).waitFor()
  await ben.getByRole('button', { name: 'Save drawing.svg' }).waitFor()
  assert.equal(await ben.locator('.theirs img').count(), 1)
  assert.equal(await ben.locator('.theirs .file-card').count(), 3)
  nothingUntoward(...people)
  await leave(people)
})

test('a file that is too large is refused with its size and the limit', async () => {
  const people = await room(2)
  const { page } = people[0]
  await page.evaluate(() => {
    const list = new DataTransfer()
    list.items.add(new File([new Uint8Array(17_000_000)], 'large.iso'))
    const input = document.querySelector('#file')
    input.files = list.files
    input.dispatchEvent(new Event('change'))
  })
  await page.getByText('“large.iso” is too large.').waitFor()
  assert.equal(await page.locator('.mine').count(), 0)
  nothingUntoward(...people)
  await leave(people)
})

test('a long text is folded, a huge one is cut and can be saved whole', async () => {
  const people = await room(2)
  const [ann, ben] = people.map(person => person.page)
  await say(ann, Array.from({ length: 60 }, (_, i) => `line ${i}`).join('\n'))
  await ben.getByRole('button', { name: 'Show all' }).click()
  await ben.getByRole('button', { name: 'Show less' }).waitFor()
  const huge = 'all work and no play '.repeat(20_000)
  await ann.locator('#say').evaluate((field, text) => { field.value = text }, huge)
  await ann.locator('#send').click()
  await ben.getByText('This message has 420 kB; its beginning is shown.').waitFor()
  const [download] = await Promise.all([ben.waitForEvent('download'), ben.getByRole('button', { name: 'Save all of it as a file' }).click()])
  assert.equal(fs.readFileSync(await download.path(), 'utf8'), huge)
  nothingUntoward(...people)
  await leave(people)
})

test('messages that come in while one reads above are counted in the title, marked, and one button away', async () => {
  const people = await room(2, { viewport: { width: 700, height: 420 } })
  const [ann, ben] = people.map(person => person.page)
  for (let i = 0; i < 20; i++) await say(ben, `old ${i}`)
  await heard(ann, 'old 19').waitFor()
  await ann.locator('#scroller').evaluate(scroller => { scroller.scrollTop = 0 })
  const down = ann.locator('#to-bottom')
  await down.waitFor({ state: 'visible' })
  await say(ben, 'new one')
  await say(ben, 'new two')
  await heard(ann, 'new two').waitFor()
  await ann.waitForFunction(() => document.title.startsWith('(2) '))
  await down.getByText('2 new messages').waitFor()
  assert.equal(await ann.locator('#scroller').evaluate(scroller => scroller.scrollTop), 0)
  assert.match(await ann.locator('.marker + .msg').textContent(), /new one/)
  await down.click()
  await down.waitFor({ state: 'hidden' })
  await ann.waitForFunction(() => !document.title.startsWith('('))
  await say(ann, 'I have read it')
  await ann.locator('.marker').waitFor({ state: 'detached' })
  nothingUntoward(...people)
  await leave(people)
})

test('a message that comes in while the tab is hidden is counted in the title', async () => {
  const people = await room(2)
  const [ann, ben] = people.map(person => person.page)
  await ann.evaluate(() => { document.hasFocus = () => false })
  await say(ben, 'are you there?')
  await ann.waitForFunction(() => document.title.startsWith('(1) '))
  await ann.evaluate(() => {
    delete document.hasFocus
    window.dispatchEvent(new Event('focus'))
  })
  await ann.waitForFunction(() => !document.title.startsWith('('))
  nothingUntoward(...people)
  await leave(people)
})

test('a text that nobody was here to get says so', async () => {
  const ann = await visit(browser, server.url)
  await say(ann.page, 'anybody?')
  await receipt(ann.page, 'anybody?', 'Nobody was here to get it')
  nothingUntoward(ann)
  await leave([ann])
})

test('Enter sends, Shift and Enter starts a new line, blanks are not sent', async () => {
  const ann = await visit(browser, server.url)
  const field = ann.page.locator('#say')
  await field.focus()
  await ann.page.keyboard.press('Enter')
  await ann.page.keyboard.type('   ')
  await ann.page.keyboard.press('Enter')
  assert.equal(await ann.page.locator('.mine').count(), 0)
  await field.fill('')
  await ann.page.keyboard.type('one')
  await ann.page.keyboard.press('Shift+Enter')
  await ann.page.keyboard.type('two')
  await ann.page.keyboard.press('Enter')
  assert.equal(await ann.page.locator('.mine .msg-text').textContent(), 'one\ntwo')
  assert.equal(await field.inputValue(), '')
  await ann.page.reload()
  await inRoom(ann.page)
  nothingUntoward(ann)
  await leave([ann])
})

// Takes the README's pictures of the page from a real chat of three: SERVER_UNDER_TEST=… node browser/page-screenshots.mjs
import fs from 'node:fs'
import { connected, heard, openFromBar, say, visit } from './page-driver.mjs'
import { launch } from './support/browser.mjs'
import { startServer } from './support/server.mjs'

const TALK = [
  ['Ann', 'That was quick! Are we really connected without a server in between?'],
  ['Ben', 'Have a look at “How it works”, it counts: nothing of this goes through the server.'],
  ['Ben', 'The one on my desk only introduced us.'],
  ['Cem', 'I am on the train, and it feels instant all the same.'],
  ['Ann', 'Lovely. Tea at eight, then?'],
  ['Ben', 'Tea at eight.'],
  ['Cem', 'I will bring the biscuits: https://example.org/shortbread'],
]
const wide = { viewport: { width: 1100, height: 680 } }
const phone = { viewport: { width: 390, height: 680 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }

const [server, browser] = await Promise.all([startServer(), launch()])
try {
  const people = new Map()
  for (const [name, look] of [['Ann', wide], ['Ben', wide], ['Cem', phone]]) {
    const localStorage = [{ name: 'name', value: name }]
    people.set(name, await visit(browser, server.url, {
      path: '/?roomId=tea-at-eight', locale: 'en-GB', deviceScaleFactor: 1.5, ...look,
      storageState: { cookies: [], origins: [{ origin: new URL(server.url).origin, localStorage }] },
    }))
  }
  for (const { page } of people.values()) await connected(page, 2)
  for (const [speaker, text] of TALK) {
    await say(people.get(speaker).page, text)
    for (const [name, { page }] of people) if (name !== speaker) await heard(page, text.slice(0, 30)).waitFor()
  }
  const ann = people.get('Ann').page
  const cem = people.get('Cem').page
  for (const page of [ann, cem]) {
    await page.locator('.line-how', { hasText: /ms$/ }).nth(1).waitFor({ state: 'attached' })
    await page.locator('.mine .receipt[data-state="delivered"]').nth(1).waitFor()
    await page.evaluate(() => document.activeElement?.blur())
  }
  await picture(ann, 'room')
  await picture(cem, 'room-phone')
  await openFromBar(ann, '#open-timeline')
  await ann.locator('.step').first().waitFor()
  await ann.locator('#close-timeline').evaluate(button => button.blur())
  await picture(ann, 'room-timeline')
} finally {
  await browser.close()
  await server.stop()
}

/** Saves what the page shows, packed by the browser itself. */
async function picture(page, name) {
  const png = await page.screenshot({ animations: 'disabled' })
  const sheet = await browser.newPage()
  const webp = await sheet.evaluate(async source => {
    const image = new Image()
    image.src = source
    await image.decode()
    const canvas = document.createElement('canvas')
    canvas.width = image.width
    canvas.height = image.height
    canvas.getContext('2d').drawImage(image, 0, 0)
    return canvas.toDataURL('image/webp', 0.88)
  }, `data:image/png;base64,${png.toString('base64')}`)
  await sheet.close()
  fs.writeFileSync(new URL(`../../docs/images/${name}.webp`, import.meta.url), Buffer.from(webp.slice(webp.indexOf(',') + 1), 'base64'))
}

//! Shows the text of a message: line breaks kept, web addresses as links, never markup; long ones folded.

import { button, el } from './dom.js'
import { linkPieces } from './linkify.js'
import { bytes } from './words.js'

/** What is folded until asked for: about two phone screens. */
const FOLD_CHARS = 1500
const FOLD_LINES = 24
/** What the page shows at all. A message may have 16 MiB; laying that out would freeze the tab, so the rest is a file. */
const SHOWN_CHARS = 50_000

/**
 * @param {string} text
 * @returns {HTMLElement}
 */
export function messageText(text) {
  const shown = text.length > SHOWN_CHARS ? cutAt(text, SHOWN_CHARS) : text
  const body = el('div', { class: 'msg-text', dir: 'auto' })
  for (const piece of linkPieces(shown)) body.append(piece.href === null ? piece.text : link(piece.text, piece.href))
  const wrap = el('div', { class: 'msg-body' }, body)
  if (shown.length > FOLD_CHARS || lines(shown) > FOLD_LINES) wrap.append(fold(body))
  if (shown !== text) wrap.append(rest(text))
  return wrap
}

/**
 * @param {string} text
 * @param {string} href
 */
const link = (text, href) => el('a', { href, target: '_blank', rel: 'noopener noreferrer' }, text)

/** @param {HTMLElement} body */
function fold(body) {
  body.classList.add('folded')
  const more = button('Show all', () => {
    const folded = body.classList.toggle('folded')
    more.textContent = folded ? 'Show all' : 'Show less'
    more.setAttribute('aria-expanded', String(!folded))
  }, { class: 'link', 'aria-expanded': 'false' })
  return more
}

/** @param {string} text */
function rest(text) {
  const save = button('Save all of it as a file', () => {
    saveBlob(new Blob([text], { type: 'text/plain;charset=utf-8' }), 'message.txt')
  }, { class: 'link' })
  return el('p', { class: 'msg-rest' }, `This message has ${bytes(new Blob([text]).size)}; its beginning is shown. `, save)
}

/**
 * Hands a blob to the browser's downloads.
 * @param {Blob} blob
 * @param {string} name
 */
export function saveBlob(blob, name) {
  const href = URL.createObjectURL(blob)
  el('a', { href, download: name }).click()
  // The download has its own hold on the blob once the click is done; a minute is for browsers that ask first.
  setTimeout(() => URL.revokeObjectURL(href), 60_000)
}

/**
 * Cuts without parting a surrogate pair.
 * @param {string} text
 * @param {number} at
 */
function cutAt(text, at) {
  const last = text.charCodeAt(at - 1)
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? at - 1 : at)
}

/** @param {string} text */
function lines(text) {
  let n = 1
  for (let at = text.indexOf('\n'); at !== -1 && n <= FOLD_LINES; at = text.indexOf('\n', at + 1)) n++
  return n
}

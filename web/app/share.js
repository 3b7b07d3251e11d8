//! Inviting: the room's link to copy, to hand to the system's share sheet, and as a QR code for a phone nearby.

import { copyFrom } from './clipboard.js'
import { button, el, icon, svg } from './dom.js'
import { qrModules } from './qr.js'

/** @typedef {{ link: string, scope: import('./reach.js').Reach['scope'] }} Invitation */

/** Readers need this many light modules around the symbol (ISO/IEC 18004, 6.3.8). */
const QUIET = 4

/**
 * The field with the link, and the buttons that pass it on.
 * @param {string} link
 * @param {(text: string) => void} announce
 * @returns {HTMLElement}
 */
export function linkRow(link, announce) {
  const field = el('input', { class: 'link-field', type: 'text', readonly: true, value: link, 'aria-label': 'Link to this room', spellcheck: 'false' })
  field.addEventListener('focus', () => field.select())
  const words = el('span', null, 'Copy link')
  const copy = el('button', { type: 'button', class: 'primary' }, icon('copy'), words)
  let back = 0
  copy.addEventListener('click', async () => {
    const copied = await copyFrom(field)
    words.textContent = copied ? 'Copied' : 'Press Ctrl+C'
    announce(copied ? 'The link is copied.' : 'The link is selected; copy it with Ctrl+C.')
    clearTimeout(back)
    back = window.setTimeout(() => { words.textContent = 'Copy link' }, 2500)
  })
  const row = el('div', { class: 'link-row' }, field, copy)
  if (typeof navigator.share === 'function') row.append(shareButton(link))
  return row
}

/** @param {string} link */
function shareButton(link) {
  const send = button('Send…', () => {
    // Rejects when the person closes the sheet, which needs no answer.
    navigator.share({ title: 'Talk with me on Switchboard', url: link }).catch(() => {})
  }, { class: 'plain' })
  send.prepend(icon('share'))
  return send
}

/**
 * Draws a link as a QR code; null when it is too long for one.
 * @param {string} link
 * @returns {SVGElement | null}
 */
export function qrPicture(link) {
  let modules
  try {
    modules = qrModules(link)
  } catch {
    return null
  }
  const size = modules.length + 2 * QUIET
  const path = modules.map((row, y) => row.map((dark, x) => dark ? `M${x + QUIET} ${y + QUIET}h1v1h-1z` : '').join('')).join('')
  return svg('svg', { class: 'qr', viewBox: `0 0 ${size} ${size}`, role: 'img', 'aria-label': 'QR code of the link to this room', 'shape-rendering': 'crispEdges' },
    svg('rect', { class: 'qr-light', width: size, height: size }), svg('path', { class: 'qr-dark', d: path }))
}

/**
 * Who can open the link, where that is not whoever gets it, and what to do about it.
 * @param {Invitation['scope']} scope
 * @returns {HTMLElement[]}
 */
export function scopeWords(scope) {
  switch (scope) {
    case 'anybody': return []
    case 'network': return [el('p', { class: 'quiet' }, 'Whoever is in the same network as this computer can open it.')]
    case 'here': return [
      el('p', null, el('strong', null, 'This link works on this computer only.'), ' Every other device takes it for its own address.'),
      el('p', { class: 'quiet' }, 'To invite somebody, open this page by the address that the server prints for your network when it starts, and send the link from there. If it prints none, let it ', el('code', null, 'listen'), ' on all addresses, or tell it its ', el('code', null, 'public_url'), '.'),
    ]
  }
}

/**
 * Fills and opens the dialog.
 * @param {HTMLDialogElement} dialog
 * @param {Invitation} invitation
 * @param {(text: string) => void} announce
 */
export function openShare(dialog, { link, scope }, announce) {
  const qr = scope === 'here' ? null : qrPicture(link)
  dialog.replaceChildren(dialogHead(dialog, 'share-title', 'Invite somebody'),
    ...(scope === 'here' ? scopeWords(scope) : [el('p', null, 'Whoever opens this link enters the room. It is the only key to it, so send it to those you mean to talk with.')]),
    linkRow(link, announce),
    ...(scope === 'here' ? [] : [...scopeWords(scope), el('div', { class: 'qr-box' }, qr ?? el('p', null, 'The link is too long for a QR code.'), qr && el('p', { class: 'quiet' }, 'Or let a phone’s camera look at this.'))]))
  dialog.showModal()
}

/**
 * A dialog's title and its way out.
 * @param {HTMLDialogElement} dialog
 * @param {string} id
 * @param {string} title
 */
export function dialogHead(dialog, id, title) {
  const close = button('', () => dialog.close(), { class: 'tool' })
  close.append(icon('close'), el('span', { class: 'vh' }, 'Close'))
  return el('div', { class: 'panel-head' }, el('h2', { id }, title), close)
}

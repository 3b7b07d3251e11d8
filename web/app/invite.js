//! What an empty room shows: one is alone, and this is how that changes.

import { button, el, svg } from './dom.js'
import { linkRow, qrPicture, scopeWords } from './share.js'

/**
 * Fills the invitation.
 * @param {HTMLElement} place
 * @param {import('./share.js').Invitation & { name: string, rename: () => void, announce: (text: string) => void }} parts
 */
export function fillInvite(place, { link, scope, name, rename, announce }) {
  const alone = scope === 'here'
  const qr = alone ? null : qrPicture(link)
  place.replaceChildren(
    boardPicture(),
    el('h2', { id: 'invite-title' }, 'You are the only one on the line'),
    ...(alone ? scopeWords(scope) : [el('p', null, 'Send this link to somebody. When they open it, your browsers connect to each other directly, and you can talk here.')]),
    linkRow(link, announce),
    ...(alone ? [] : scopeWords(scope)),
    el('p', { class: 'quiet' }, 'They will see you as ', el('bdi', { class: 'invite-name' }, name), '. ', button('Choose another name', rename, { class: 'link' })),
    el('div', { class: 'invite-qr' }, qr, qr && el('p', { class: 'quiet' }, 'A phone can scan this.')))
}

/** Two rows of jacks, one plugged in, its cord hanging loose at the other end. */
function boardPicture() {
  const jacks = []
  for (let row = 0; row < 2; row++) for (let i = 0; i < 6; i++) {
    const attributes = { cx: 30 + i * 36, cy: 30 + row * 36, r: 9 }
    jacks.push(svg('circle', { ...attributes, class: row === 0 && i === 1 ? 'art-jack art-plugged' : 'art-jack' }))
  }
  return svg('svg', { class: 'art', viewBox: '0 0 240 150', 'aria-hidden': 'true' },
    svg('rect', { class: 'art-panel', x: 4, y: 4, width: 232, height: 88, rx: 12 }), ...jacks,
    svg('path', { class: 'art-cord', d: 'M66 30C66 150 150 150 158 118' }),
    svg('path', { class: 'art-plug', d: 'M158 122V104' }), svg('path', { class: 'art-tip', d: 'M158 104V96' }))
}

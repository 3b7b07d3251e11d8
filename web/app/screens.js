//! Screens that stand in for the room: on the way into it, when there is no way in, and after leaving.

import { button, el } from './dom.js'

/**
 * @typedef {object} Screen
 * @property {string} title
 * @property {(Node | string)[]} words
 * @property {{ label: string, act: () => void, main?: boolean }[]} [actions]
 * @property {'busy' | 'warn' | 'off'} tone
 */

/**
 * Shows a screen instead of the room.
 * @param {HTMLElement} place
 * @param {Screen} screen
 * @returns {HTMLElement} Where a line that changes can be written.
 */
export function showScreen(place, { title, words, actions = [], tone }) {
  const heading = el('h1', { tabindex: -1 }, title)
  const changing = el('p', { class: 'quiet', role: 'status' })
  place.replaceChildren(el('main', { class: 'screen-card' },
    el('span', { class: 'lamp', 'data-tone': tone }, el('span', { class: 'lamp-light', 'aria-hidden': 'true' })),
    heading, ...words.map(line => el('p', null, line)), tone === 'busy' && el('progress', { 'aria-label': title }), changing,
    actions.length > 0 && el('div', { class: 'actions' }, ...actions.map(({ label, act, main }) => button(label, act, { class: main ? 'primary' : 'plain' })))))
  const hadFocus = !place.hidden || document.activeElement === document.body
  place.hidden = false
  if (hadFocus && tone !== 'busy') heading.focus()
  return changing
}

/**
 * What to say when the server answers, but not by its WebSocket.
 * @param {string} words
 * @returns {Refusal}
 */
export const unsocketed = words => ({ title: 'The server does not let this page in', retry: true, fresh: false, words: [words] })

/** @typedef {{ title: string, words: string[], retry: boolean, fresh: boolean }} Refusal */

/**
 * What to say when the server, or the way to it, refused.
 * @param {{ code?: unknown, message?: unknown }} error
 * @param {string} host
 * @returns {Refusal}
 */
export function refusal(error, host) {
  const said = typeof error.message === 'string' && error.message !== '' ? [error.message] : []
  switch (error.code) {
    case 'room-full': return { title: 'This room is full', retry: true, fresh: true, words: ['It has as many people as it can hold. Try again when somebody has left, or start a new room and send its link round.'] }
    case 'room-not-found': return { title: 'This room is no longer there', retry: true, fresh: true, words: ['A room lasts while somebody is in it. Ask for a new link, or start a room yourself.'] }
    case 'address-full': return { title: 'Too many rooms from your network', retry: true, fresh: false, words: ['As many rooms as one network may have were opened from yours. Leave one, or try again in a little while.'] }
    case 'server-full': return { title: 'The server is full', retry: true, fresh: false, words: ['It has as many rooms as it can hold. Try again in a little while.'] }
    case 'bad-room': return { title: 'No room can have this name', retry: false, fresh: true, words: ['The link seems damaged. Ask for it again, or start a new room.'] }
    case 'unsupported-version': return { title: 'This page is out of date', retry: true, fresh: false, words: ['The server has been updated. Load the page again.'] }
    default: return { title: 'The server cannot be reached', retry: true, fresh: false, words: [`There is no answer from ${host}. Check your connection; if others cannot reach it either, the server may be down.`, ...said] }
  }
}

/** What this browser lacks for the job, or null. */
export function missingFeature() {
  if (typeof RTCPeerConnection !== 'function') return 'WebRTC, by which browsers connect directly, is switched off or missing in this browser. Allow it in the settings or extensions, or use a current Firefox, Chrome, Edge or Safari.'
  if (typeof WebSocket !== 'function') return 'WebSocket, by which the page reaches the server, is missing in this browser. Use a current Firefox, Chrome, Edge or Safari.'
  return null
}

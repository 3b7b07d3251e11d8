//! The switch *Hide my address*: through relays alone, so that the others see a relay's address. The browser remembers it.

import { setText } from './dom.js'
import { HIDE_KEY, remember } from './storage.js'

/**
 * @typedef {import('../switchboard.js').Room} Room
 * @typedef {import('./notices.js').Notices} Notices
 */

const SHOWN = 'People in this room can see your IP address. Hidden, they see that of a relay, and everything takes a little longer.'
const HIDDEN = 'People in this room see the address of a relay instead of yours; everything takes a little longer.'

/**
 * @param {Room} room
 * @param {{ box: HTMLInputElement, note: HTMLElement, notices: Notices }} parts
 */
export function bindHiding(room, { box, note, notices }) {
  const show = () => {
    box.checked = room.relayOnly
    setText(note, room.relayOnly ? HIDDEN : SHOWN)
  }
  const hide = (/** @type {boolean} */ only) => {
    remember(HIDE_KEY, only ? 'yes' : null)
    notices.hide('relay')
    room.relayOnly = only
    show()
  }
  box.addEventListener('change', () => hide(box.checked))
  room.on('error', ({ error }) => {
    if (error.code !== 'no-relay') return
    notices.show('relay', {
      tone: 'warn', state: true, title: 'Your address stays hidden, so nobody can connect to you now.',
      text: 'Hiding it takes a relay, and this server has none.',
      actions: [{ label: 'Show my address and connect', act: () => hide(false) }],
    })
  })
  // Another server, or the same one set up anew, may have one; if not, the error comes again.
  room.on('signalling', ({ state }) => { if (state === 'open') notices.hide('relay') })
  show()
}

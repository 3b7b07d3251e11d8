//! The two short questions: what one wants to be called, and whether one really means to leave.

import { button, el } from './dom.js'
import { NAME_CHARS, tidyName } from './names.js'
import { dialogHead } from './share.js'

/**
 * Asks for a name.
 * @param {HTMLDialogElement} dialog
 * @param {string} current
 * @param {(name: string) => void} chosen
 */
export function askName(dialog, current, chosen) {
  const field = el('input', { id: 'name-field', type: 'text', maxlength: NAME_CHARS, autocomplete: 'nickname', value: current, dir: 'auto' })
  const form = el('form', { class: 'prompt' }, el('label', { for: 'name-field' }, 'What others in the room call you'), field,
    el('p', { class: 'quiet' }, 'This browser remembers it.'),
    el('div', { class: 'actions' }, el('button', { type: 'submit', class: 'primary' }, 'Use this name'), button('Cancel', () => dialog.close(), { class: 'plain' })))
  form.addEventListener('submit', event => {
    event.preventDefault()
    const name = tidyName(field.value)
    if (name !== '') chosen(name)
    dialog.close()
  })
  dialog.replaceChildren(dialogHead(dialog, 'name-title', 'Your name'), form)
  dialog.showModal()
  field.focus()
  field.select()
}

/**
 * Asks whether to leave.
 * @param {HTMLDialogElement} dialog
 * @param {number} others  How many are in the room besides.
 * @param {() => void} leave
 */
export function askLeave(dialog, others, leave) {
  const stay = button('Stay', () => dialog.close(), { class: 'plain' })
  const go = button('Leave the room', () => {
    dialog.close()
    leave()
  }, { class: 'primary', id: 'leave-now' })
  dialog.replaceChildren(dialogHead(dialog, 'leave-title', 'Leave this room?'),
    el('p', null, others > 0 ? 'The others are told, and what was said here disappears from this tab.' : 'Nobody else is here, so the room ends when you leave.'),
    el('div', { class: 'actions' }, go, stay))
  dialog.showModal()
  go.focus()
}

//! How far each of one's messages has come: in a word for all, and for each recipient on request.

import { el, icon, setText } from './dom.js'
import { listNames } from './words.js'

/**
 * @typedef {import('../switchboard.js').Sent} Sent
 * @typedef {'queued' | 'sending' | 'sent' | 'delivered' | 'failed'} State
 * @typedef {import('./people.js').People} People
 */

/** @type {Record<State, string>} */
const WORDS = {
  queued: 'waiting for the line',
  sending: 'sending',
  sent: 'sent',
  delivered: 'delivered',
  failed: 'not delivered',
}

/** Receipts of messages that old are final for all practical purposes; forgetting them bounds the map. */
const REMEMBERED = 500

let nextId = 0

/**
 * What to say of a message in a few words.
 * @param {ReadonlyMap<string, State>} to
 * @param {(id: string) => string} name
 * @returns {{ state: State, text: string }}
 */
export function receiptSummary(to, name) {
  const of = (/** @type {State} */ state) => [...to].filter(([, s]) => s === state).map(([id]) => name(id))
  const failed = of('failed')
  if (to.size === 0) return { state: 'failed', text: 'Nobody was here to get it' }
  if (failed.length > 0) return { state: 'failed', text: to.size === 1 ? 'Not delivered' : `Not delivered to ${listNames(failed)}` }
  const queued = of('queued')
  if (queued.length > 0) return { state: 'queued', text: `Waiting for ${listNames(queued)}` }
  if (of('sending').length > 0) return { state: 'sending', text: 'Sending' }
  const delivered = of('delivered').length
  if (delivered === to.size) return { state: 'delivered', text: ['', 'Delivered', 'Delivered to both'][to.size] ?? `Delivered to all ${to.size}` }
  if (delivered > 0) return { state: 'sent', text: `Delivered to ${delivered} of ${to.size}` }
  return { state: 'sent', text: 'Sent' }
}

export class Receipts {
  /** @type {People} */
  #people
  /** @type {(text: string) => void} */
  #announce
  /** @type {Map<string, () => void>} */
  #shown = new Map()

  /**
   * @param {People} people
   * @param {(text: string) => void} announce  Tells a screen reader; only failures are worth interrupting for.
   */
  constructor(people, announce) {
    this.#people = people
    this.#announce = announce
  }

  /**
   * Makes the receipt of a message.
   * @param {Sent} sent
   * @returns {HTMLElement}
   */
  receipt(sent) {
    const list = el('ul', { class: 'receipt-list', id: `receipt-${nextId++}` })
    const mark = el('span', { class: 'receipt-mark' })
    const words = el('span', { class: 'receipt-text' })
    const summary = el('button', { type: 'button', class: 'receipt-word', 'aria-expanded': 'false', 'aria-controls': list.id }, mark, words)
    const box = el('div', { class: 'receipt', 'aria-live': 'off' }, summary, list)
    openOnRequest(box, summary)
    const name = (/** @type {string} */ id) => this.#people.recall(id).name
    let failed = false
    const show = () => {
      const { state, text } = receiptSummary(sent.to, name)
      if (box.dataset['state'] !== state) mark.replaceChildren(icon(state))
      box.dataset['state'] = state
      setText(words, text)
      list.replaceChildren(...(sent.to.size === 0 ? [el('li', null, 'People who join later do not see what was said before.')]
        : [...sent.to].map(([id, s]) => el('li', null, icon(s), el('bdi', null, name(id)), ` ${WORDS[s]}`))))
      if (state === 'failed' && !failed) this.#announce(text)
      failed = state === 'failed'
    }
    show()
    this.#shown.set(sent.id, show)
    if (this.#shown.size > REMEMBERED) this.#shown.delete(/** @type {string} */ (this.#shown.keys().next().value))
    return box
  }

  /**
   * Tells of a change in a message's delivery.
   * @param {string} id
   */
  changed(id) {
    this.#shown.get(id)?.()
  }
}

/**
 * The list opens while the pointer or the focus is on it (style sheet), and by a press where there is no hovering.
 * @param {HTMLElement} box
 * @param {HTMLButtonElement} summary
 */
function openOnRequest(box, summary) {
  const set = (/** @type {boolean} */ open) => {
    box.classList.toggle('open', open)
    summary.setAttribute('aria-expanded', String(open))
  }
  summary.addEventListener('click', () => set(!box.classList.contains('open')))
  box.addEventListener('keydown', event => { if (event.key === 'Escape') set(false) })
  box.addEventListener('focusout', () => set(false))
}

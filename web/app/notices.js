//! Notices above the log: something is wrong or worth knowing, what it means and what to do. One of each kind at a time.

import { button, el, icon, setText } from './dom.js'

/**
 * @typedef {object} Notice
 * @property {'warn' | 'info' | 'error'} tone
 * @property {string} title
 * @property {string} text
 * @property {{ label: string, act: () => void }[]} [actions]
 * @property {boolean} [closable]  Default true.
 * @property {boolean} [state]  It tells of a state and is shown again and again; once closed it stays so until hidden.
 * @property {boolean} [busy]  Something is under way.
 * @property {string} [aside]  What changes by the second and should not be read out each time.
 */

export class Notices {
  /** @type {HTMLElement} */
  #place
  /** @type {Map<string, { node: HTMLElement, notice: Notice, aside: HTMLElement }>} */
  #shown = new Map()

  /** What was closed, by key. @type {Map<string, string>} */
  #closed = new Map()

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place
  }

  /**
   * Shows a notice, in place of one with the same key.
   * @param {string} key
   * @param {Notice} notice
   */
  show(key, notice) {
    if (notice.state && this.#closed.get(key) === notice.title) return
    const old = this.#shown.get(key)
    if (old && old.notice.title === notice.title && old.notice.text === notice.text) {
      setText(old.aside, notice.aside ?? '')
      return
    }
    const aside = el('span', { class: 'notice-aside', 'aria-live': 'off' }, notice.aside ?? '')
    const actions = (notice.actions ?? []).map(({ label, act }) => button(label, act, { class: 'link' }))
    const close = el('button', { type: 'button', class: 'tool' }, icon('close'), el('span', { class: 'vh' }, 'Close this notice'))
    close.addEventListener('click', () => {
      this.hide(key)
      this.#closed.set(key, notice.title)
    })
    const node = el('div', { class: 'notice', 'data-tone': notice.tone, role: notice.tone === 'info' ? 'status' : 'alert' },
      el('div', { class: 'notice-words' }, notice.busy && el('progress', { 'aria-label': notice.title }), el('strong', null, notice.title), ' ', notice.text, ' ', aside,
        actions.length > 0 && el('span', { class: 'notice-actions' }, ...actions)),
      notice.closable !== false && close)
    if (old) old.node.replaceWith(node)
    else this.#place.append(node)
    this.#shown.set(key, { node, notice, aside })
  }

  /** @param {string} key */
  hide(key) {
    this.#shown.get(key)?.node.remove()
    this.#shown.delete(key)
    this.#closed.delete(key)
  }
}

//! The list of checks: what is being tried, what came of it and the candidates that it found, as they come.

import { el, setText } from './dom.js'
import { candidateLine, shorten } from './diagnostics-report.js'
import { milliseconds } from './diagnostics-verdict.js'

/**
 * @typedef {import('./diagnostics-verdict.js').Outcome} Outcome
 * @typedef {import('./diagnostics-verdict.js').Tone} Tone
 * @typedef {import('./diagnostics-ice.js').Found} Found
 */

/** @type {Record<Tone, string>} */
const WORDS = { waiting: 'waiting', running: 'testing', ok: 'works', warn: 'with limits', bad: 'does not work', none: 'not tested' }

/** One check. */
export class Check {
  /** @type {Outcome} */
  outcome = { tone: 'waiting', text: '' }
  /** @type {Found[]} */
  candidates = []
  row
  #state = el('span', { class: 'check-state' })
  #text = el('p', { class: 'check-text' })
  #list = el('ul', { class: 'candidates' })
  #whole = false

  /** @param {string} title @param {string} about  What it is for. @param {string} [url]  What is asked. */
  constructor(title, about, url = '') {
    this.title = title
    this.url = url
    this.row = el('li', { class: 'check', 'data-tone': 'waiting' }, el('span', { class: 'mark-of', 'aria-hidden': 'true' }),
      el('div', { class: 'check-words' }, el('div', { class: 'check-head' }, el('h3', null, title), this.#state),
        el('p', { class: 'check-about' }, about, url && el('span', { class: 'check-url', translate: 'no' }, url)), this.#text, this.#list))
    this.#list.hidden = true
    this.tell(this.outcome)
  }

  running() {
    this.tell({ tone: 'running', text: '' })
  }

  /** @param {Outcome} outcome */
  tell(outcome) {
    this.outcome = outcome
    this.row.dataset['tone'] = outcome.tone
    setText(this.#state, WORDS[outcome.tone])
    this.#show()
  }

  /** @param {Found} found */
  add(found) {
    this.candidates.push(found)
    this.#list.hidden = false
    this.#list.append(el('li', null))
    this.#show()
  }

  /** Shows addresses in full, or what is left of them. @param {boolean} whole */
  reveal(whole) {
    this.#whole = whole
    this.#show()
  }

  #show() {
    const hide = this.#whole ? (/** @type {string} */ text) => text : shorten
    setText(this.#text, hide(this.outcome.text))
    this.candidates.forEach((found, at) => {
      const item = this.#list.children[at]
      if (item) setText(item, hide(`${candidateLine(found)}  ${milliseconds(found.ms)}`))
    })
  }
}

//! Shows the timeline: beside the chat where there is room, over it on a phone. Steps are only drawn while it is open.

import { el, setText } from './dom.js'
import { saveBlob } from './message-text.js'
import { redactor } from './redact.js'
import { isCandidate, plain } from './timeline.js'
import { count, exactClock } from './words.js'

/**
 * @typedef {import('./timeline.js').Timeline} Timeline
 * @typedef {import('./timeline.js').Step} Step
 * @typedef {import('./people.js').People} People
 */

/**
 * @typedef {object} TimelineParts
 * @property {HTMLDialogElement} dialog
 * @property {HTMLButtonElement} opener
 * @property {HTMLButtonElement} closer
 * @property {HTMLButtonElement} saver
 * @property {HTMLSelectElement} peer
 * @property {HTMLInputElement} candidates
 * @property {HTMLInputElement} redact
 * @property {HTMLElement} counter
 * @property {HTMLElement} list
 * @property {HTMLElement} scroller
 * @property {() => string} exported  The record as text, by the state of `redact`.
 */

/** The newest ones; the file has all that are kept. */
const DRAWN = 500

export class TimelineView {
  #timeline
  #people
  #parts
  #hide = redactor()
  #due = false
  #drawn = 0
  /** @type {Set<string>} */
  #known = new Set()

  /**
   * @param {Timeline} timeline
   * @param {People} people
   * @param {TimelineParts} parts
   */
  constructor(timeline, people, parts) {
    this.#timeline = timeline
    this.#people = people
    this.#parts = parts
    const { dialog, opener, closer, saver, peer, candidates, redact } = parts
    opener.addEventListener('click', () => dialog.open ? dialog.close() : this.#open())
    closer.addEventListener('click', () => dialog.close())
    saver.addEventListener('click', () => this.#save())
    dialog.addEventListener('close', () => this.#closed())
    dialog.addEventListener('keydown', event => { if (event.key === 'Escape') dialog.close() })
    for (const control of [peer, candidates, redact]) control.addEventListener('change', () => this.#redraw())
    // A dialog opened beside the chat would lie under it on a screen that became narrow, and the other way round.
    matchMedia(WIDE).addEventListener('change', () => {
      if (!dialog.open) return
      dialog.close()
      this.#open()
    })
  }

  /** Tells of a step that the timeline has taken. */
  added() {
    if (!this.#parts.dialog.open || this.#due) return
    this.#due = true
    requestAnimationFrame(() => {
      this.#due = false
      this.#draw()
    })
  }

  #open() {
    const { dialog, opener, closer } = this.#parts
    if (matchMedia(WIDE).matches) dialog.show()
    else dialog.showModal()
    opener.setAttribute('aria-expanded', 'true')
    closer.focus()
    this.#redraw()
  }

  #closed() {
    const { opener } = this.#parts
    opener.setAttribute('aria-expanded', 'false')
    if (opener.checkVisibility()) opener.focus()
  }

  #redraw() {
    this.#parts.list.replaceChildren()
    this.#drawn = 0
    this.#hide = redactor()
    this.#draw()
  }

  #draw() {
    const { list, scroller, counter, candidates } = this.#parts
    this.#offerPeers()
    const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight <= 5 || this.#drawn === 0
    const matching = this.#timeline.steps.filter(step => this.#wanted(step))
    list.append(...matching.slice(-DRAWN).filter(step => step.n > this.#drawn).map(step => this.#row(step)))
    while (list.childElementCount > DRAWN) list.firstElementChild?.remove()
    this.#drawn = this.#timeline.count
    const folded = candidates.checked ? 0 : this.#timeline.steps.filter(step => isCandidate(step.kind)).length
    setText(counter, count(this.#timeline.count, 'step') + (folded > 0 ? `, ${folded} about single candidates not shown` : ''))
    if (atEnd) scroller.scrollTop = scroller.scrollHeight
  }

  /** @param {Step} step */
  #wanted(step) {
    const { peer, candidates } = this.#parts
    return (peer.value === '' || step.peer === peer.value) && (candidates.checked || !isCandidate(step.kind))
  }

  #offerPeers() {
    const { peer } = this.#parts
    for (const step of this.#timeline.steps) {
      if (step.peer === null || this.#known.has(step.peer)) continue
      this.#known.add(step.peer)
      peer.append(el('option', { value: step.peer }, `${this.#people.recall(step.peer).name} (${step.trace ?? ''})`))
    }
  }

  /** @param {Step} step */
  #row(step) {
    const text = this.#parts.redact.checked ? String(this.#hide(step.text)) : step.text
    const person = step.peer === null ? null : this.#people.recall(step.peer)
    const head = el('div', { class: 'step-head' },
      el('time', { datetime: step.time.toISOString() }, exactClock(step.time)),
      el('span', { class: 'step-kind' }, step.kind),
      person && el('span', { class: `step-trace hue-${person.hue}`, title: person.name }, step.trace ?? person.name))
    const words = el('div', { class: 'step-text' }, text)
    return el('li', { class: 'step' }, head, words, step.detail !== undefined && this.#detail(step.detail))
  }

  /** @param {object} detail */
  #detail(detail) {
    const box = el('details', { class: 'step-detail' }, el('summary', null, 'Detail'))
    box.addEventListener('toggle', () => {
      if (!box.open || box.childElementCount > 1) return
      const shown = this.#parts.redact.checked ? this.#hide(plain(detail)) : plain(detail)
      // The lines of a session description read better as lines than as one string.
      box.append(el('pre', { tabindex: 0 }, JSON.stringify(shown, null, 2).replaceAll('\\r\\n', '\n')))
    })
    return box
  }

  #save() {
    const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '-')
    saveBlob(new Blob([this.#parts.exported()], { type: 'application/json' }), `switchboard-timeline-${stamp}.json`)
  }
}

/** Where the timeline fits beside the chat (frame.css has the same figure). */
const WIDE = '(min-width: 64rem)'

//! The list of messages and of what happened between them. It knows how entries look and in what order they stand, not
//! where they come from.

import { el } from './dom.js'
import { clock } from './words.js'

/** @typedef {import('./people.js').Person} Person */

/**
 * @typedef {object} Message
 * @property {Person | null} from  Null is oneself.
 * @property {Node} body
 * @property {Date} at
 * @property {Node} [footer]
 */

/** A tab that stays open for days must not grow for ever; older entries are let go. */
const ENTRIES = 1000
/** Within this long, messages of one person share a heading. */
const GROUP_MS = 5 * 60_000

export class Log {
  /** @type {HTMLElement} */
  #list
  /** @type {{ who: string, at: number } | null} */
  #group = null
  #trimmed = false

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list
  }

  /**
   * Adds a message.
   * @param {Message} message
   * @returns {HTMLLIElement}
   */
  message({ from, body, at, footer }) {
    const who = from?.id ?? 'self'
    const joined = this.#group !== null && this.#group.who === who && at.getTime() - this.#group.at < GROUP_MS
    this.#group = { who, at: at.getTime() }
    const name = from?.name ?? 'You'
    const time = el('time', { datetime: at.toISOString(), title: at.toLocaleString() }, clock(at))
    const heading = el('p', { class: joined ? 'msg-head vh' : 'msg-head' }, el('bdi', { class: 'msg-name' }, name), ' ', time)
    const kind = from ? `msg theirs hue-${from.hue}` : 'msg mine'
    const item = el('li', { class: joined ? `${kind} joined` : kind }, heading, body, footer)
    this.#append(item)
    return item
  }

  /**
   * Adds a line on what happened. Names in it must come as `name` makes them.
   * @param {...(Node | string)} words
   * @returns {HTMLLIElement}
   */
  line(...words) {
    this.#group = null
    const now = new Date()
    const time = el('time', { datetime: now.toISOString(), title: now.toLocaleString() }, clock(now))
    const item = el('li', { class: 'line-entry' }, el('p', null, ...words, ' ', time))
    this.#append(item)
    return item
  }

  /**
   * Puts a mark above an entry: what follows has not been seen.
   * @param {HTMLLIElement} first
   * @returns {HTMLLIElement}
   */
  markAbove(first) {
    this.#group = null
    const marker = el('li', { class: 'marker' }, el('span', null, 'New messages'))
    first.before(marker)
    return marker
  }

  /** Ends the group, so that the next message has a heading again. */
  breakGroup() {
    this.#group = null
  }

  /** @param {HTMLLIElement} item */
  #append(item) {
    this.#list.append(item)
    if (this.#list.childElementCount <= ENTRIES) return
    if (!this.#trimmed) {
      this.#trimmed = true
      this.#list.prepend(el('li', { class: 'line-entry' }, el('p', null, 'Older entries were let go to keep this tab light.')))
    }
    // The note itself stays first.
    while (this.#list.childElementCount > ENTRIES) {
      const oldest = this.#list.children[1]
      if (!oldest) return
      oldest.remove()
    }
  }
}

/**
 * A person's name inside a line, isolated so that its writing direction stays its own.
 * @param {Person} person
 */
export const nameOf = person => el('bdi', { class: `who hue-${person.hue}` }, person.name)

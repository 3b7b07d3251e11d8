//! Keeps the log at its end while one reads there, and counts what comes in while one does not: in the title, on the
//! button that leads down, and with a mark above the first unseen message.

import { setText } from './dom.js'
import { count } from './words.js'

/** Closer to the end than this counts as being there; fractions of a pixel come from zoomed screens. */
const AT_END_PX = 5

export class Unread {
  /** @type {HTMLElement} */
  #scroller
  /** @type {HTMLElement} */
  #button
  /** @type {HTMLElement} */
  #words
  /** @type {(item: HTMLLIElement) => HTMLLIElement} */
  #mark
  #title = document.title
  #count = 0
  #follow = true
  #due = false
  /** Where the scroller was left last; higher up than that, somebody has moved it. */
  #left = 0
  /** @type {HTMLLIElement | null} */
  #marker = null

  /** @type {() => boolean} */
  #resting

  /**
   * @param {{ scroller: HTMLElement, button: HTMLElement, words: HTMLElement, mark: (item: HTMLLIElement) => HTMLLIElement, resting: () => boolean }} parts
   *   While `resting` says so, what stands above the log is to be read first and the place stays.
   */
  constructor({ scroller, button, words, mark, resting }) {
    this.#resting = resting
    this.#scroller = scroller
    this.#button = button
    this.#words = words
    this.#mark = mark
    scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true })
    button.addEventListener('click', () => this.toEnd())
    document.addEventListener('visibilitychange', () => this.#seen())
    window.addEventListener('focus', () => this.#seen())
    // The keyboard of a phone, a rotated screen, a picture that arrives: whoever was at the end stays there.
    const resized = new ResizeObserver(() => this.settle())
    resized.observe(scroller)
    for (const child of scroller.children) resized.observe(child)
  }

  /** The name of the page without the count. @param {string} title */
  set title(title) {
    this.#title = title
    this.#show()
  }

  /**
   * Tells of a message that came in and stands in the log.
   * @param {HTMLLIElement} item
   */
  arrived(item) {
    const watching = this.#follow && document.visibilityState === 'visible' && document.hasFocus()
    if (!watching) {
      if (this.#count === 0) {
        this.#marker?.remove()
        this.#marker = this.#mark(item)
      }
      this.#count++
    }
    this.settle()
    this.#show()
  }

  /** Goes to the end, with the next frame, if one was there. Whoever reads further up is left alone. */
  settle() {
    this.#show()
    if (this.#due) return
    // Once a frame: the height is known only after a layout, and a flood of messages must not ask for one each.
    this.#due = true
    requestAnimationFrame(() => {
      this.#due = false
      if (!this.#follow || this.#resting()) return
      this.#scroller.scrollTop = this.#scroller.scrollHeight
      this.#left = this.#scroller.scrollTop
    })
  }

  /** Goes to the end and stays there. */
  toEnd() {
    this.#follow = true
    this.settle()
    this.#seen()
  }

  /** Forgets the mark: one has answered, so one has read. */
  answered() {
    this.#marker?.remove()
    this.#marker = null
    this.#count = 0
    this.toEnd()
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller
    const moved = !this.#follow || scrollTop < this.#left - 1
    // What was added since is below the end as it was; that alone is no leaving it.
    if (moved) this.#follow = scrollHeight - scrollTop - clientHeight <= AT_END_PX || this.#resting()
    this.#seen()
    this.#show()
  }

  #seen() {
    if (!this.#follow || document.visibilityState !== 'visible' || !document.hasFocus()) return
    this.#count = 0
    this.#show()
  }

  #show() {
    // Kept in place by the browser when entries above are let go, the end would slip away.
    this.#scroller.classList.toggle('following', this.#follow)
    this.#button.hidden = this.#follow
    setText(this.#words, this.#count === 0 ? 'Latest' : count(this.#count, 'new message'))
    const title = this.#count === 0 ? this.#title : `(${this.#count}) ${this.#title}`
    if (document.title !== title) document.title = title
  }
}

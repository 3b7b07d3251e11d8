//! The status light: how this page stands with the server, in colour, shape and words, and what it means to lose it.

import { setText } from './dom.js'

/**
 * @typedef {import('../switchboard.js').Room} Room
 * @typedef {import('./notices.js').Notices} Notices
 */

/** @type {Record<Room['signalling'], { tone: string, words: string }>} */
const LIGHTS = {
  connecting: { tone: 'busy', words: 'Connecting' },
  open: { tone: 'ok', words: 'Online' },
  lost: { tone: 'warn', words: 'Server lost' },
  closed: { tone: 'off', words: 'Closed' },
}

export class Lamp {
  /** @type {HTMLElement} */
  #lamp
  /** @type {HTMLElement} */
  #words
  /** @type {Notices} */
  #notices
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #countdown

  /**
   * @param {HTMLElement} lamp
   * @param {HTMLElement} words
   * @param {Notices} notices
   */
  constructor(lamp, words, notices) {
    this.#lamp = lamp
    this.#words = words
    this.#notices = notices
  }

  /**
   * Shows a state of the signalling.
   * @param {Room['signalling']} state
   * @param {{ reason?: string | undefined, retryInMs?: number | undefined }} [more]
   * @param {number} [peers]  How many are connected directly.
   */
  show(state, more = {}, peers = 0) {
    const light = LIGHTS[state]
    this.#lamp.dataset['tone'] = light.tone
    setText(this.#words, light.words)
    clearInterval(this.#countdown)
    if (state === 'open') this.#notices.hide('server')
    if (state === 'lost') this.#tellLoss(more.retryInMs, peers)
    if (state === 'closed') this.#tellEnd(more.reason)
  }

  /** @param {string | undefined} reason */
  #tellEnd(reason) {
    this.#notices.show('server', {
      tone: 'error', closable: false, title: 'You are no longer in this room.',
      text: `${reason ? `${reason} ` : ''}What you write now reaches only those who are still connected to you.`,
      actions: [{ label: 'Enter again', act: () => location.reload() }],
    })
  }

  /**
   * @param {number | undefined} retryInMs
   * @param {number} peers
   */
  #tellLoss(retryInMs, peers) {
    const until = Date.now() + (retryInMs ?? 0)
    const tell = () => {
      const seconds = Math.ceil((until - Date.now()) / 1000)
      this.#notices.show('server', {
        tone: 'warn', closable: false, title: 'The server cannot be reached.',
        text: peers > 0
          ? 'Your messages still go directly to the people you are connected to, but there are no delivery guarantees: nobody new can join, and others may assume that you have left.'
          : 'Nobody can join you until it is back, and others may assume that you have left.',
        aside: seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying again now…',
      })
    }
    tell()
    if (retryInMs !== undefined) this.#countdown = setInterval(tell, 1000)
  }
}

//! The conversation: what one sends and what arrives, texts and files, put into the log.

import { el } from './dom.js'
import { packFile, PACKING_BYTES } from './files.js'
import { messageText } from './message-text.js'
import { fileCard, progressBar, Received } from './transfers.js'
import { bytes, listNames } from './words.js'

/**
 * @typedef {import('../switchboard.js').Room} Room
 * @typedef {import('../switchboard.js').Peer} Peer
 * @typedef {import('../switchboard.js').Sent} Sent
 * @typedef {import('./people.js').People} People
 * @typedef {import('./log.js').Log} Log
 * @typedef {import('./unread.js').Unread} Unread
 * @typedef {import('./receipts.js').Receipts} Receipts
 * @typedef {import('./notices.js').Notices} Notices
 */

/** The module's default limit for one message; a file travels as one. */
export const MESSAGE_BYTES = 16 * 1024 * 1024
/** An incoming message this small is there before a bar for it could be read. */
const WORTH_A_BAR = 128 * 1024
/** A message that got no further for so long was given up by its sender, who need not say so. */
const STALLED_MS = 60_000
/** As many bars for incoming messages as are ever drawn at once. */
const BARS = 64

/**
 * @typedef {object} ChatParts
 * @property {Room} room
 * @property {People} people
 * @property {Log} log
 * @property {Unread} unread
 * @property {Receipts} receipts
 * @property {Notices} notices
 */

export class Chat {
  #parts
  #received = new Received()
  /** @type {Map<string, { item: HTMLLIElement, bar: ReturnType<typeof progressBar>, at: number }>} */
  #incoming = new Map()
  /** Messages that arrive while an earlier one is still being unpacked wait for it, so that order is kept. */
  #turn = Promise.resolve()
  /** Messages sent and received. */
  texts = 0

  /** @param {ChatParts} parts */
  constructor(parts) {
    this.#parts = parts
    const { room, receipts } = parts
    room.on('message', message => { this.#turn = this.#turn.then(() => this.#arrived(message)).catch(error => this.#unshown(message, error)) })
    room.on('progress', progress => this.#progress(progress))
    room.on('delivery', ({ id }) => receipts.changed(id))
    room.on('peerleft', ({ peer }) => this.#dropBars(peer.id))
    setInterval(() => this.#dropStalled(), STALLED_MS / 4)
    room.on('peerstate', ({ peer, state }) => { if (state === 'interrupted') this.#dropBars(peer.id) })
  }

  /**
   * Sends a text to everybody.
   * @param {string} text
   * @returns {boolean} Whether it was taken.
   */
  sendText(text) {
    const size = new TextEncoder().encode(text).length
    if (size > MESSAGE_BYTES) return this.#refuse('This message is too long.', `It has ${bytes(size)}; a message can have ${bytes(MESSAGE_BYTES)}. Send it in parts, or as a file.`)
    const sent = this.#send(text)
    if (sent === null) return false
    this.#show(sent, messageText(text))
    return true
  }

  /**
   * Sends files to everybody who can take files, one message each.
   * @param {File[]} files
   */
  sendFiles(files) {
    for (const file of files.slice(0, 10)) this.#sendFile(file)
    if (files.length > 10) this.#refuse('That is a lot of files.', 'The first ten are sent; send the others after them.')
  }

  /** @param {File} file */
  #sendFile(file) {
    const { room } = this.#parts
    if (file.size + PACKING_BYTES > MESSAGE_BYTES) {
      this.#refuse(`“${file.name}” is too large.`, `It has ${bytes(file.size)}; a file can have ${bytes(MESSAGE_BYTES - PACKING_BYTES)}.`)
      return
    }
    // A Socket.IO chat would print the bytes as text.
    const able = [...room.peers.values()].filter(peer => peer.dialect === 'switchboard')
    if (able.length === 0) {
      this.#refuse(`“${file.name}” was not sent.`, room.peers.size === 0 ? 'Nobody is here to get it.' : 'Nobody here has a program that takes files.')
      return
    }
    const bar = progressBar(`Sending ${file.name}`)
    const others = [...room.peers.values()].filter(peer => !able.includes(peer)).map(peer => this.#parts.people.meet(peer).name)
    const card = fileCard(file.name, file.size, bar.node, others.length > 0 ? el('span', { class: 'file-size' }, `not to ${listNames(others)}: text only there`) : null)
    bar.show(0, file.size)
    const sent = this.#send(packFile(file), { to: able, onProgress: (done, total) => bar.show(Math.min(done, total), total) })
    if (sent === null) return
    const over = () => bar.node.remove()
    sent.done.then(over, over)
    this.#show(sent, card)
  }

  /**
   * @param {string | Blob} data
   * @param {{ to?: Peer[], onProgress?: (done: number, total: number) => void }} [options]
   * @returns {Sent | null}
   */
  #send(data, options) {
    try {
      const sent = this.#parts.room.send(data, options)
      // Its failures are in the receipt; unheard they would count as errors of the page.
      sent.done.catch(() => {})
      return sent
    } catch (error) {
      this.#refuse('This was not sent.', error instanceof Error ? error.message : String(error))
      return null
    }
  }

  /**
   * @param {Sent} sent
   * @param {HTMLElement} body
   */
  #show(sent, body) {
    const { log, receipts, unread } = this.#parts
    this.texts++
    this.#parts.notices.hide('send')
    log.message({ from: null, body, at: new Date(), footer: receipts.receipt(sent) })
    unread.answered()
  }

  /**
   * @param {{ peer: Peer, data: string | ArrayBuffer | ArrayBufferView | Blob, id: string, receivedAt: Date }} message
   */
  async #arrived({ peer, data, id, receivedAt }) {
    const { people, log, unread } = this.#parts
    const body = typeof data === 'string' ? messageText(data) : await this.#received.body(data)
    this.#dropBar(`${peer.id} ${id}`)
    this.texts++
    unread.arrived(log.message({ from: people.meet(peer), body, at: receivedAt }))
    body.querySelector('img')?.addEventListener('load', () => unread.settle(), { once: true })
  }

  /**
   * The sender has its receipt already: only here can be said that there is nothing to see.
   * @param {{ peer: Peer, id: string }} message
   * @param {unknown} error
   */
  #unshown({ peer, id }, error) {
    this.#dropBar(`${peer.id} ${id}`)
    this.#parts.notices.show('unshown', { tone: 'error', title: `A message from ${this.#parts.people.meet(peer).name} could not be shown.`, text: 'Ask for it to be sent again.' })
    reportError(error)
  }

  /** @param {{ peer: Peer, id: string, received: number, total: number }} progress */
  #progress({ peer, id, received, total }) {
    if (total < WORTH_A_BAR) return
    const key = `${peer.id} ${id}`
    let shown = this.#incoming.get(key)
    if (!shown) {
      if (this.#incoming.size >= BARS) return
      const person = this.#parts.people.meet(peer)
      const bar = progressBar(`Receiving from ${person.name}`)
      const item = this.#parts.log.message({ from: person, at: new Date(), body: el('div', { class: 'msg-body' }, el('p', { class: 'quiet' }, 'Sending you something…'), bar.node) })
      shown = { item, bar, at: 0 }
      this.#incoming.set(key, shown)
      this.#parts.unread.settle()
    }
    shown.at = Date.now()
    shown.bar.show(received, total)
  }

  /** @param {string} key */
  #dropBar(key) {
    const shown = this.#incoming.get(key)
    if (!shown) return
    shown.item.remove()
    this.#incoming.delete(key)
    // Its heading went with it.
    this.#parts.log.breakGroup()
  }

  #dropStalled() {
    for (const [key, { at }] of [...this.#incoming]) if (Date.now() - at > STALLED_MS) this.#dropBar(key)
  }

  /** @param {string} peerId */
  #dropBars(peerId) {
    for (const key of [...this.#incoming.keys()]) if (key.startsWith(`${peerId} `)) this.#dropBar(key)
  }

  /**
   * @param {string} title
   * @param {string} text
   * @returns {false}
   */
  #refuse(title, text) {
    this.#parts.notices.show('send', { tone: 'warn', title, text })
    return false
  }
}

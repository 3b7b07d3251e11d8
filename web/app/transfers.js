//! Files in the log: on their way out with progress, on their way in with progress, and there to be saved.
//! Nothing received is ever opened here: a file is offered for download, and known pictures are shown as pictures.

import { button, el, icon, setText } from './dom.js'
import { isPicture, unpackFile } from './files.js'
import { saveBlob } from './message-text.js'
import { bytes } from './words.js'

/** Bytes of received files that the tab keeps; beyond, the oldest is let go and says so. */
const KEPT_BYTES = 256 * 1024 * 1024
/** Pictures larger than this are offered as files: showing one means decoding all of it. */
const PICTURE_BYTES = 8 * 1024 * 1024

/**
 * A bar with the figures beside it.
 * @param {string} label
 */
export function progressBar(label) {
  const bar = el('progress', { max: 1, 'aria-label': label })
  const words = el('span', { class: 'progress-words', 'aria-live': 'off' })
  const node = el('div', { class: 'progress' }, bar, words)
  return {
    node,
    /** @param {number} done @param {number} total */
    show(done, total) {
      bar.value = total > 0 ? done / total : 0
      setText(words, `${bytes(done)} of ${bytes(total)}`)
    },
  }
}

/**
 * The body of a file message: icon, name, size.
 * @param {string} name
 * @param {number} size
 * @param {...(Node | null)} more
 */
export function fileCard(name, size, ...more) {
  return el('div', { class: 'msg-body file-card' }, icon('file'),
    el('div', { class: 'file-words' }, el('bdi', { class: 'file-name' }, name), el('span', { class: 'file-size' }, bytes(size)), ...more))
}

export class Received {
  /** @type {{ size: number, letGo: () => void }[]} */
  #kept = []
  #bytes = 0

  /**
   * Makes the body for a binary message.
   * @param {ArrayBuffer | ArrayBufferView | Blob} data
   * @returns {Promise<HTMLElement>}
   */
  async body(data) {
    const { name, blob } = await unpackFile(data)
    /** @type {Blob | null} */
    let held = blob
    const save = button(`Save ${name}`, () => { if (held) saveBlob(held, name) }, { class: 'plain' })
    save.replaceChildren(icon('save'), el('span', null, 'Save'), el('span', { class: 'vh' }, ` ${name}`))
    const card = fileCard(name, blob.size, save)
    const picture = isPicture(blob.type) && blob.size <= PICTURE_BYTES ? showPicture(blob, name) : null
    if (picture) card.prepend(picture.node)
    this.#keep(blob.size, () => {
      held = null
      picture?.letGo()
      save.replaceWith(el('span', { class: 'file-size' }, 'let go to free memory'))
    })
    return card
  }

  /**
   * @param {number} size
   * @param {() => void} letGo
   */
  #keep(size, letGo) {
    this.#kept.push({ size, letGo })
    this.#bytes += size
    while (this.#bytes > KEPT_BYTES && this.#kept.length > 1) {
      const oldest = this.#kept.shift()
      if (!oldest) return
      this.#bytes -= oldest.size
      oldest.letGo()
    }
  }
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function showPicture(blob, name) {
  const src = URL.createObjectURL(blob)
  const node = el('img', { class: 'picture', src, alt: `Picture: ${name}`, decoding: 'async' })
  const letGo = () => {
    URL.revokeObjectURL(src)
    node.remove()
  }
  node.addEventListener('error', letGo)
  return { node, letGo }
}

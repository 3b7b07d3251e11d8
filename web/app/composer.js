//! Where one writes: a field that grows with its text, sends on Enter, and takes files by button, paste and drop.

/**
 * @typedef {object} ComposerParts
 * @property {HTMLFormElement} form
 * @property {HTMLTextAreaElement} field
 * @property {HTMLInputElement} file
 * @property {HTMLButtonElement} attach
 * @property {HTMLElement} dropZone
 * @property {(text: string) => boolean} onText  False keeps the text in the field.
 * @property {(files: File[]) => void} onFiles
 */

export class Composer {
  /** @type {ComposerParts} */
  #parts

  /** @param {ComposerParts} parts */
  constructor(parts) {
    this.#parts = parts
    const { form, field, file, attach } = parts
    form.addEventListener('submit', event => {
      event.preventDefault()
      this.#submit()
    })
    field.addEventListener('keydown', event => {
      // While an input method composes, Enter picks a word.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
      event.preventDefault()
      this.#submit()
    })
    field.addEventListener('input', () => this.#fit())
    attach.addEventListener('click', () => file.click())
    file.addEventListener('change', () => {
      this.#offer(file.files)
      file.value = ''
      field.focus()
    })
    field.addEventListener('paste', event => {
      // Text that was copied from a document comes with a picture of itself; then the text is meant.
      if (event.clipboardData?.types.includes('text/plain')) return
      if (this.#offer(event.clipboardData?.files)) event.preventDefault()
    })
    this.#acceptDrops()
    this.#fit()
  }

  /** Puts the cursor in the field, unless that would raise a phone's keyboard unasked. */
  focus() {
    if (matchMedia('(hover: hover)').matches) this.#parts.field.focus({ preventScroll: true })
  }

  /** @param {boolean} on */
  set enabled(on) {
    for (const control of this.#parts.form.elements) {
      if (control instanceof HTMLTextAreaElement || control instanceof HTMLButtonElement) control.disabled = !on
    }
  }

  #submit() {
    const { field, onText } = this.#parts
    if (field.value.trim() === '') return
    if (!onText(field.value)) return
    field.value = ''
    this.#fit()
  }

  /**
   * @param {FileList | null | undefined} list
   * @returns {boolean} Whether there was anything to take.
   */
  #offer(list) {
    const files = [...(list ?? [])]
    if (files.length > 0) this.#parts.onFiles(files)
    return files.length > 0
  }

  /** One line to eight; beyond, the field scrolls (the style sheet's limit). */
  #fit() {
    const { field } = this.#parts
    field.style.height = 'auto'
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`
  }

  #acceptDrops() {
    const { dropZone } = this.#parts
    const carriesFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') === true
    // Dropped beside the zone, a file would replace the page and end the chat.
    for (const type of /** @type {const} */ (['dragover', 'drop'])) window.addEventListener(type, event => { if (carriesFiles(event)) event.preventDefault() })
    dropZone.addEventListener('dragover', event => { if (carriesFiles(event)) dropZone.classList.add('dropping') })
    for (const type of ['dragleave', 'drop']) dropZone.addEventListener(type, () => dropZone.classList.remove('dropping'))
    dropZone.addEventListener('drop', event => this.#offer(event.dataTransfer?.files))
  }
}

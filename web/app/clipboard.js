//! Copying, in browsers and on pages that may not all use the clipboard.

/**
 * Copies by the clipboard where the page may (https and localhost), else by the old command, else selects the field.
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @returns {Promise<boolean>}
 */
export async function copyFrom(field) {
  try {
    await navigator.clipboard.writeText(field.value)
    return true
  } catch {
    field.focus()
    field.select()
    try {
      return document.execCommand('copy')
    } catch {
      return false
    }
  }
}

//! The one error type that the module throws, rejects with and reports.

/** Says what went wrong in a sentence, with a code to act upon. */
export class SwitchboardError extends Error {
  /**
   * @param {string} code  The server's error code, or one of docs/client.md.
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(code, message, cause) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'SwitchboardError'
    /** @readonly */
    this.code = code
  }
}

//! The report to copy: everything that was found, as text, without credentials, and without whole addresses unless asked.

import { milliseconds, place } from './diagnostics-verdict.js'

/**
 * @typedef {import('./diagnostics-verdict.js').Outcome} Outcome
 * @typedef {import('./diagnostics-ice.js').Found} Found
 * @typedef {{ title: string, url: string, outcome: Outcome, candidates: readonly Found[] }} Checked
 */

const IPV4 = /(?<![\d.])(\d{1,3}\.\d{1,3})\.\d{1,3}\.\d{1,3}(?![\d.])/g
const IPV6 = /(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]{1,4})?(?:%\w+)?(?![\w:])/gi
const MDNS = /\b([0-9a-f]{4})[0-9a-f-]{8,60}\.local\b/gi

/** Leaves of each address what tells the network and not the place in it. @param {string} text */
export const shorten = text => text
  .replace(MDNS, '$1….local')
  // All eight groups, or some left out: what tells an address from a clock time.
  .replace(IPV6, whole => whole.split(':').length === 8 || (whole.includes('::') && whole !== '::') ? `${whole.split(':').slice(0, 2).join(':')}:…` : whole)
  .replace(IPV4, '$1.x.x')

/** One line for a candidate. @param {Found} found */
export const candidateLine = found => `${found.type.padEnd(5)} ${found.protocol.toUpperCase()} ${place(found)}`

/** @type {Record<Outcome['tone'], string>} */
const MARKS = { waiting: '…', running: '…', ok: 'ok', warn: '! ', bad: 'NO', none: '– ' }

/**
 * @param {{ at: Date, origin: string, browser: string, server: string, verdict: string }} head
 * @param {Checked[]} checks
 * @param {boolean} whole  With full addresses.
 */
export function report({ at, origin, browser, server, verdict }, checks, whole) {
  const hide = whole ? (/** @type {string} */ text) => text : shorten
  const lines = checks.flatMap(({ title, url, outcome, candidates }) => [
    hide(`[${MARKS[outcome.tone]}] ${title}${url && ` (${url})`}: ${outcome.text}`),
    ...candidates.map(found => hide(`       ${candidateLine(found)} after ${milliseconds(found.ms)}`)),
  ])
  // A browser's version may look like an address, and is none.
  return [`Switchboard connection test, ${at.toISOString()}`, hide(`Server: ${origin}${server ? ` (${server})` : ''}`), `Browser: ${browser}`,
    `Result: ${verdict}`, '', ...lines, ''].join('\n')
}

//! The record of every negotiation step of this visit, and its export. It holds what happened; showing it is
//! timeline-view.js.

import { redactor } from './redact.js'

/**
 * @typedef {import('../switchboard.js').Room} Room
 * @typedef {import('../switchboard.js').Path} Path
 */

/**
 * @typedef {object} Step
 * @property {number} n  Counts from 1 over all steps of the visit.
 * @property {Date} time
 * @property {string | null} peer
 * @property {string | null} trace  The id that both ends of a connection write into their timelines.
 * @property {string} kind
 * @property {string} text
 * @property {object | undefined} detail
 */

/** A connection takes about 40 steps; this is a full room that connects four times over. Older ones are let go. */
const STEPS = 5000

export class Timeline {
  /** @type {Step[]} */
  #steps = []
  #count = 0
  /** How many steps came from the server or went to it, to introduce peers. */
  introductions = 0

  /** @returns {readonly Step[]} */
  get steps() {
    return this.#steps
  }

  /** How many there were in all, those let go included. */
  get count() {
    return this.#count
  }

  /**
   * @param {{ time: Date, peer?: { id: string, traceId: string } | undefined, kind: string, text: string, detail?: object | undefined }} step
   * @returns {Step}
   */
  add({ time, peer, kind, text, detail }) {
    const step = { n: ++this.#count, time, peer: peer?.id ?? null, trace: peer?.traceId ?? null, kind, text, detail }
    if (isIntroduction(kind)) this.introductions++
    this.#steps.push(step)
    if (this.#steps.length > STEPS) this.#steps.shift()
    return step
  }

  /**
   * The record as a JSON text.
   * @param {Room} room
   * @param {ReadonlyMap<string, Path>} paths
   * @param {boolean} hideAddresses
   */
  export(room, paths, hideAddresses) {
    const head = {
      format: 'switchboard-timeline', version: 1, exportedAt: new Date().toISOString(), addresses: hideAddresses ? 'hidden' : 'shown',
      // Its version has the form of an address.
      browser: navigator.userAgent,
    }
    const record = {
      self: room.self.id, signalling: room.signalling,
      peers: [...room.peers.values()].map(peer => ({
        id: peer.id, trace: peer.traceId, dialect: peer.dialect, state: peer.state, away: peer.away,
        connectionState: peer.connection.connectionState, iceConnectionState: peer.connection.iceConnectionState,
        path: paths.get(peer.id) ?? null,
      })),
      stepsInAll: this.#count,
      steps: this.#steps.map(({ time, ...step }) => ({ time: time.toISOString(), ...step, detail: plain(step.detail) })),
    }
    return JSON.stringify({ ...head, ...hideAddresses ? Object(redactor(room.id)(record)) : record }, null, 2)
  }
}

/**
 * Whether a step was one message through the server.
 * @param {string} kind
 */
const isIntroduction = kind => /^(offer|answer|candidate)-(sent|received)$/.test(kind)

/**
 * Whether a step is one of the many about single candidates.
 * @param {string} kind
 */
export const isCandidate = kind => /candidate/.test(kind)

/**
 * Browser objects (descriptions, candidates, errors) keep their members on the prototype; this makes them plain.
 * @param {object | undefined} detail
 * @returns {unknown}
 */
export function plain(detail) {
  if (detail === undefined) return undefined
  try {
    return JSON.parse(JSON.stringify(detail, (_key, value) => value instanceof Error ? { name: value.name, message: value.message } : value))
  } catch {
    return String(detail)
  }
}

//! Notices when the same room is open in another tab of this browser: one would be in the room twice.

/**
 * @typedef {object} Tabs
 * @property {() => void} claim  Asks the other tabs to leave the room to this one.
 * @property {() => void} close
 */

/**
 * @param {string} roomId
 * @param {{ onOther: () => void, onAlone: () => void, onYield: () => void }} listener
 * @returns {Tabs}
 */
export function watchTabs(roomId, { onOther, onAlone, onYield }) {
  // Without channels (very old browsers) each tab simply counts as a person of its own.
  if (typeof BroadcastChannel !== 'function') return { claim: () => {}, close: () => {} }
  const channel = new BroadcastChannel(`switchboard-room-${roomId}`)
  const others = new Set()
  const me = crypto.getRandomValues(new Uint32Array(2)).join('-')
  const say = (/** @type {string} */ type) => channel.postMessage({ type, from: me })
  channel.onmessage = ({ data }) => {
    if (typeof data?.from !== 'string') return
    if (data.type === 'here' || data.type === 'hello') {
      if (data.type === 'hello') say('here')
      others.add(data.from)
      onOther()
    }
    if (data.type === 'gone' && others.delete(data.from) && others.size === 0) onAlone()
    if (data.type === 'claim') onYield()
  }
  say('hello')
  const gone = () => say('gone')
  // A page that the browser kept whole and brings back.
  const back = (/** @type {PageTransitionEvent} */ event) => { if (event.persisted) say('hello') }
  window.addEventListener('pagehide', gone)
  window.addEventListener('pageshow', back)
  const close = () => {
    window.removeEventListener('pagehide', gone)
    window.removeEventListener('pageshow', back)
    say('gone')
    channel.close()
  }
  return { claim: () => say('claim'), close }
}

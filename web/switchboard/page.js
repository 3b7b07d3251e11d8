//! What happens to the page itself: it is left, comes back from the browser's back/forward cache, is looked at again, or its
//! computer changes networks.

/** `navigator.connection`, where the browser has it. @typedef {EventTarget & { type?: string }} NetworkInformation */

/**
 * Watches the page.
 * @param {{ hidden: () => void, shown: () => void, looked: () => void, networkChanged: () => void }} listener
 * @returns {() => void}  Stops watching.
 */
export function watchPage({ hidden, shown, looked, networkChanged }) {
  const watch = new AbortController()
  const { signal } = watch
  const network = /** @type {Navigator & { connection?: NetworkInformation }} */ (navigator).connection
  let type = network?.type
  addEventListener('pagehide', hidden, { signal })
  addEventListener('pageshow', ({ persisted }) => { if (persisted) shown() }, { signal })
  addEventListener('online', networkChanged, { signal })
  document.addEventListener('visibilitychange', () => { if (!document.hidden) looked() }, { signal })
  network?.addEventListener?.('change', () => {
    // The same event tells of mere estimates of speed.
    if (type === network.type) return looked()
    type = network.type
    networkChanged()
  }, { signal })
  return () => watch.abort()
}

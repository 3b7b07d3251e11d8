//! The page's beginning and end: chooses the room, enters it, and says what to do where that fails or after leaving.

import { join } from '../switchboard.js'
import { inventName, tidyName } from './names.js'
import { byId, diagnosticsLink, setText } from './dom.js'
import { findReach } from './reach.js'
import { chooseRoom, roomLink } from './room-choice.js'
import { showRoom } from './room-view.js'
import { missingFeature, refusal, showScreen, unsocketed } from './screens.js'
import { standing, standingWords } from './server-up.js'
import { HIDE_KEY, NAME_KEY, recall, remember, ROOM_KEY } from './storage.js'
import { watchTabs } from './tabs.js'
import { followViewport } from './viewport.js'

/** @typedef {import('../switchboard.js').Room} Room */

const screen = byId('screen', HTMLElement)
const page = byId('page', HTMLElement)
/** An answer usually takes a tenth of a second: a screen that flashes by would only unsettle. */
const SHOW_WAITING_MS = 300
/** Past this, waiting is worth a word. */
const SLOW_MS = 5000
/** Between attempts to reach a server that does not answer: doubled each time, up to the last. */
const RETRY_MS = { first: 2000, last: 30_000 }

followViewport()
const lacking = missingFeature()
if (lacking === null) void enter(RETRY_MS.first)
else showScreen(screen, { tone: 'off', title: 'This browser cannot connect', words: [lacking, diagnosticsLink()] })

/**
 * Enters the room that the address or the memory names.
 * @param {number} retryMs  How long to wait should there be no answer.
 */
async function enter(retryMs) {
  const choice = chooseRoom(location.search, recall(ROOM_KEY))
  const known = tidyName(recall(NAME_KEY))
  const name = known || inventName()
  remember(NAME_KEY, name)
  const waiting = showWaiting()
  const reach = findReach(location.href)
  /** @type {Room} */
  let room
  try {
    room = await join(choice.id, { name, relayOnly: recall(HIDE_KEY) === 'yes' })
  } catch (error) {
    await showRefusal(/** @type {{ code?: unknown, message?: unknown }} */ (error ?? {}), retryMs)
    return
  } finally {
    waiting.over()
  }
  screen.hidden = true
  remember(ROOM_KEY, room.id)
  history.replaceState(null, '', roomLink(location.href, room.id))
  const { notices, rename } = showRoom(room, { reach: await reach, onLeave: () => void leave() })
  if (choice.rejected !== null) {
    notices.show('link', { tone: 'warn', title: `No room can be called “${choice.rejected}”.`,
      text: `You are in ${choice.from === 'storage' ? 'the room you were in before' : 'a new room'} instead. If somebody sent you a link, ask for it again: it may have been cut off.` })
  }
  // Who opens an empty room is asked in the invitation.
  if (known === '' && room.peers.size > 0) {
    const ask = () => {
      notices.hide('name')
      rename()
    }
    notices.show('name', { tone: 'info', title: `The others see you as ${name}.`, text: '', actions: [{ label: 'Choose another name', act: ask }] })
  }
  const tabs = watchTabs(room.id, {
    onOther: () => notices.show('tabs', { tone: 'info', title: 'This room is also open in another tab.', text: 'Others see you twice.',
      actions: [{ label: 'Close it there', act: () => tabs.claim() }] }),
    onAlone: () => notices.hide('tabs'),
    onYield: () => void away(room, { title: 'You moved to another tab', words: ['This room is open there now.'] }),
  })

  async function leave() {
    remember(ROOM_KEY, null)
    await away(room, { title: 'You have left the room', words: ['The others have been told. What was said is gone from this tab.'] })
    history.replaceState(null, '', roomLink(location.href, null))
  }

  /**
   * Leaves the room and shows a screen in its place.
   * @param {Room} room
   * @param {{ title: string, words: string[] }} words
   */
  async function away(room, { title, words }) {
    tabs.close()
    await room.leave().catch(() => {})
    page.hidden = true
    document.title = 'Switchboard'
    const back = roomLink(location.href, room.id)
    showScreen(screen, { tone: 'off', title, words, actions: [
      { label: 'Start a new room', main: true, act: startFresh },
      { label: `Go back to ${room.id}`, act: () => location.assign(back) },
    ] })
  }
}

/** Goes to the page as if for the first time. */
function startFresh() {
  remember(ROOM_KEY, null)
  location.assign(roomLink(location.href, null))
}

/** Shows that the server is being asked, once that takes noticeable time. */
function showWaiting() {
  let line = /** @type {HTMLElement | null} */ (null)
  const show = setTimeout(() => { line = showScreen(screen, { tone: 'busy', title: 'Entering the room', words: [`Asking ${location.host}…`] }) }, SHOW_WAITING_MS)
  const slow = setTimeout(() => { if (line) setText(line, 'This takes longer than usual. The connection may be slow, or the server busy.') }, SLOW_MS)
  return {
    over() {
      clearTimeout(show)
      clearTimeout(slow)
    },
  }
}

/**
 * @param {{ code?: unknown, message?: unknown }} error
 * @param {number} retryMs
 */
async function showRefusal(error, retryMs) {
  const plain = refusal(error, location.host)
  const silent = error.code === undefined || plain.title === 'The server cannot be reached'
  const why = silent ? standingWords(await standing(location.origin)) : null
  const { title, words, retry, fresh } = why === null ? plain : unsocketed(why)
  // What the server said will not change by asking again; that it did not answer may.
  const again = silent ? Date.now() + retryMs : null
  const next = () => {
    clearInterval(countdown)
    void enter(Math.min(retryMs * 2, RETRY_MS.last))
  }
  const actions = [
    ...(retry ? [{ label: 'Try again', act: next, main: !fresh }] : []),
    ...(fresh ? [{ label: 'Start a new room', act: startFresh, main: true }] : []),
  ]
  // A proxy may let the page through and not its socket.
  const line = showScreen(screen, { tone: 'warn', title, words: again === null ? words : [...words, diagnosticsLink()], actions })
  line.setAttribute('aria-live', 'off')
  const tell = () => {
    if (again === null) return
    const seconds = Math.ceil((again - Date.now()) / 1000)
    if (seconds <= 0) next()
    else setText(line, `Trying again by itself in ${seconds} s.`)
  }
  const countdown = setInterval(tell, 1000)
  tell()
}

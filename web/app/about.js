//! "Is it really peer to peer?", answered in plain words and with this visit's own counters; and who can see what.

import { diagnosticsLink, el, setText } from './dom.js'
import { dialogHead } from './share.js'
import { bytes, count } from './words.js'

/**
 * @typedef {object} Counters
 * @property {number} introductions  Messages through the server to introduce peers.
 * @property {number} texts  Messages sent and received.
 * @property {import('../switchboard.js').Path[]} paths
 */

/**
 * Makes the dialog. It shows what `counters` gives each time it is asked to.
 * @param {HTMLDialogElement} dialog
 * @param {() => Counters} counters
 */
export function makeAbout(dialog, counters) {
  const direct = el('dd')
  const server = el('dd')
  const through = el('dd')
  dialog.append(dialogHead(dialog, 'about-title', 'How it works'), ...sections(el('dl', { class: 'counters' },
    el('div', null, el('dt', null, 'Between the browsers'), direct),
    el('div', null, el('dt', null, 'Chat messages through the server'), through),
    el('div', null, el('dt', null, 'Introductions through the server'), server))))
  const refresh = () => {
    if (!dialog.open) return
    const { introductions, texts, paths } = counters()
    const sum = (/** @type {'bytesSent' | 'bytesReceived'} */ key) => paths.reduce((n, path) => n + path[key], 0)
    const relayed = paths.filter(path => path.kind === 'relayed').length
    setText(direct, `${count(texts, 'chat message')}; ${bytes(sum('bytesSent'))} sent and ${bytes(sum('bytesReceived'))} received`
      + ` over ${count(paths.length, 'connection')}${relayed > 0 ? `, ${relayed} of them through a relay` : ''}`)
    setText(through, '0: the page has no way to send one there')
    setText(server, `${introductions} (offers, answers and candidates)`)
  }
  return {
    refresh,
    /** @param {string} [section]  The id of the heading to go to. */
    open(section) {
      dialog.showModal()
      refresh()
      document.getElementById(section ?? 'about-title')?.scrollIntoView({ block: 'nearest' })
    },
  }
}

/** @param {HTMLElement} list */
function sections(list) {
  const heading = (/** @type {string} */ text, /** @type {string} */ id = '') => el('h3', { id: id || null }, text)
  return [
    heading('Is it really browser to browser?'),
    el('p', null, 'Yes. Two browsers cannot find each other by themselves, so the server introduces them: it passes on a handful of notes that say where each can be reached. Then they connect, encrypted end to end, and what you write goes straight from one to the other. When a network allows no direct way, a relay may carry the encrypted packets; the list of people says “Relayed” then.'),
    list,
    el('p', null, 'To see for yourself, open your browser’s network tools, pick the connection named “ws” and write something: nothing passes there. If the server goes away, you can go on talking.'),
    heading('Who can see what', 'about-privacy'),
    el('ul', null,
      el('li', null, el('strong', null, 'People in this room can learn your IP address. '), 'A direct connection needs it, as a letter needs an address. It tells roughly where you are and who your provider is. Switch on “Hide my address”, below the list of people, and they see the address of a relay instead, as long as the server has one; who was connected to you before knows yours already.'),
      el('li', null, 'The server sees your IP address too, your name and who is in the room, but not what you write. It does introduce you, though: one that cheats could put itself in between. Use a server of somebody you trust, or run your own.'),
      el('li', null, 'A name is what somebody calls themselves; it proves nothing. Whoever has the link can come in.'),
      el('li', null, 'Nothing is stored. Close the tab and the conversation is gone; who comes later does not see what was said before.')),
    heading('What the marks mean'),
    el('ul', null,
      el('li', null, el('strong', null, 'Sent'), ': it left this browser. ', el('strong', null, 'Delivered'), ': the other browser has confirmed it. Point at the mark, or press it, to see it for each person.'),
      el('li', null, 'The ', el('strong', null, 'timeline'), ' records every step by which connections are made. Save it as a file when you report a problem.')),
    heading('When somebody cannot be reached'),
    el('p', null, diagnosticsLink(), ' finds out what your network lets through and says it in one sentence.'),
    heading('Keys'),
    el('p', null, el('kbd', null, 'Enter'), ' sends, ', el('kbd', null, 'Shift'), ' + ', el('kbd', null, 'Enter'), ' starts a new line. Files can be dropped on the page or pasted.'),
  ]
}

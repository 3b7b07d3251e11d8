//! Puts the page together around a room one has joined: which part hears of what. The parts do the rest.

import { makeAbout } from './about.js'
import { Chat } from './chat.js'
import { Composer } from './composer.js'
import { byId, setText } from './dom.js'
import { bindHiding } from './hiding.js'
import { fillInvite } from './invite.js'
import { Lamp } from './lamp.js'
import { Log } from './log.js'
import { Members } from './members.js'
import { Notices } from './notices.js'
import { People } from './people.js'
import { tellPresence } from './presence.js'
import { askLeave, askName } from './prompts.js'
import { Receipts } from './receipts.js'
import { roomLink } from './room-choice.js'
import { openShare } from './share.js'
import { NAME_KEY, remember } from './storage.js'
import { Timeline } from './timeline.js'
import { TimelineView } from './timeline-view.js'
import { Unread } from './unread.js'
import { tellWaiting } from './waiting.js'

/**
 * @typedef {import('../switchboard.js').Room} Room
 * @typedef {import('./reach.js').Reach} Reach
 */

/** Faults that the client has dealt with and a person can do nothing about; the timeline has them. */
const TECHNICAL = new Set(['bad-frame', 'bad-server-message', 'flood', 'internal', 'negotiation', 'slow-down'])

/**
 * Shows a room.
 * @param {Room} room
 * @param {{ reach: Reach, onLeave: () => void }} parts
 * @returns {{ notices: Notices, rename: () => void }}
 */
export function showRoom(room, { reach, onLeave }) {
  const invitation = { link: roomLink(reach.href, room.id), scope: reach.scope }
  const announce = (/** @type {string} */ text) => setText(byId('announce', HTMLElement), text)
  const notices = new Notices(byId('notices', HTMLElement))
  const people = new People(room)
  const log = new Log(byId('log', HTMLElement))
  const unread = makeUnread(room, log)
  const timeline = recordTimeline(room)
  byId('page', HTMLElement).hidden = false
  setText(byId('room-id', HTMLElement), room.id)

  const rename = () => askName(byId('name', HTMLDialogElement), room.self.name, name => {
    room.rename(name)
    remember(NAME_KEY, name)
    members.refresh()
    for (const node of document.querySelectorAll('.invite-name')) setText(node, name)
  })
  const members = makeMembers(room, people, rename)
  tellPresence(room, { people, log, settle: () => unread.settle() })
  tellWaiting(room, { people, notices })
  const chat = new Chat({ room, people, log, unread, receipts: new Receipts(people, announce), notices })
  showSignalling(room, notices)
  bindHiding(room, { box: byId('hide-address', HTMLInputElement), note: byId('hide-address-note', HTMLElement), notices })
  showInvite(room, { ...invitation, rename, announce })
  showTimeline(room, { timeline, people, members })
  makeComposer(chat).focus()
  bindAbout(members, timeline, chat)
  byId('open-share', HTMLElement).addEventListener('click', () => openShare(byId('share', HTMLDialogElement), invitation, announce))
  byId('open-leave', HTMLElement).addEventListener('click', () => askLeave(byId('leave', HTMLDialogElement), room.peers.size, onLeave))
  unread.settle()
  return { notices, rename }
}

/**
 * @param {Room} room
 * @param {Log} log
 */
function makeUnread(room, log) {
  const unread = new Unread({
    scroller: byId('scroller', HTMLElement), button: byId('to-bottom', HTMLElement), words: byId('to-bottom-words', HTMLElement),
    mark: item => log.markAbove(item), resting: () => !byId('invite', HTMLElement).hidden && byId('log', HTMLElement).childElementCount < 2,
  })
  unread.title = `${room.id} – Switchboard`
  return unread
}

/** @param {Room} room */
function recordTimeline(room) {
  const timeline = new Timeline()
  room.on('step', step => { timeline.add(step) })
  room.on('error', ({ error }) => { timeline.add({ time: new Date(), kind: `error: ${error.code}`, text: error.message }) })
  return timeline
}

/**
 * @param {Room} room
 * @param {{ timeline: Timeline, people: People, members: Members }} parts
 */
function showTimeline(room, { timeline, people, members }) {
  const redact = byId('timeline-redact', HTMLInputElement)
  const view = new TimelineView(timeline, people, {
    dialog: byId('timeline', HTMLDialogElement), opener: byId('open-timeline', HTMLButtonElement),
    closer: byId('close-timeline', HTMLButtonElement), saver: byId('timeline-save', HTMLButtonElement),
    peer: byId('timeline-peer', HTMLSelectElement), candidates: byId('timeline-candidates', HTMLInputElement), redact,
    counter: byId('timeline-count', HTMLElement), list: byId('steps', HTMLElement), scroller: byId('steps-scroller', HTMLElement),
    exported: () => timeline.export(room, members.paths, redact.checked),
  })
  room.on('step', () => view.added())
}

/**
 * @param {Room} room
 * @param {People} people
 * @param {() => void} rename
 */
function makeMembers(room, people, rename) {
  const members = new Members(room, people, {
    list: byId('lines', HTMLElement), counts: [byId('board-count', HTMLElement), byId('open-board-count', HTMLElement)], rename,
  })
  for (const type of /** @type {const} */ (['peer', 'peerleft', 'renamed'])) room.on(type, () => members.refresh())
  // `away` has no event of its own, but each change of it is a step.
  room.on('step', ({ peer }) => { if (peer) members.refresh() })
  room.on('peerstate', ({ state }) => {
    members.refresh()
    if (state === 'open') members.measure()
  })
  return members
}

/**
 * @param {Room} room
 * @param {Notices} notices
 */
function showSignalling(room, notices) {
  const lamp = new Lamp(byId('lamp', HTMLElement), byId('lamp-words', HTMLElement), notices)
  const connected = () => [...room.peers.values()].filter(peer => peer.state === 'open').length
  room.on('signalling', ({ state, reason, retryInMs }) => lamp.show(state, { reason, retryInMs }, connected()))
  room.on('error', ({ error }) => {
    if (!TECHNICAL.has(error.code) && error.code !== 'no-relay') notices.show('error', { tone: 'warn', title: 'Something went wrong.', text: error.message })
  })
  lamp.show(room.signalling, {}, connected())
}

/**
 * @param {Room} room
 * @param {import('./share.js').Invitation & { rename: () => void, announce: (text: string) => void }} parts
 */
function showInvite(room, { link, scope, rename, announce }) {
  const place = byId('invite', HTMLElement)
  const alone = room.peers.size === 0
  if (alone) fillInvite(place, { link, scope, name: room.self.name, rename, announce })
  place.hidden = !alone
  room.on('peer', () => { place.hidden = true })
}

/** @param {Chat} chat */
function makeComposer(chat) {
  return new Composer({
    form: byId('composer', HTMLFormElement), field: byId('say', HTMLTextAreaElement), file: byId('file', HTMLInputElement),
    attach: byId('attach', HTMLButtonElement), dropZone: byId('page', HTMLElement),
    onText: text => chat.sendText(text), onFiles: files => chat.sendFiles(files),
  })
}

/**
 * @param {Members} members
 * @param {Timeline} timeline
 * @param {Chat} chat
 */
function bindAbout(members, timeline, chat) {
  const about = makeAbout(byId('about', HTMLDialogElement), () => ({
    introductions: timeline.introductions, texts: chat.texts, paths: [...members.paths.values()],
  }))
  byId('lines', HTMLElement).addEventListener('measured', about.refresh)
  byId('open-about', HTMLElement).addEventListener('click', () => about.open())
  byId('open-privacy', HTMLElement).addEventListener('click', () => about.open('about-privacy'))
}

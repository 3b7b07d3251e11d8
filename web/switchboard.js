//! The rooms client of Switchboard for browsers: see docs/client.md.

export { SwitchboardError } from './switchboard/wire.js'
export { Peer } from './switchboard/member.js'
export { Room, join } from './switchboard/room.js'

/**
 * @typedef {import('./switchboard/types.js').JoinOptions} JoinOptions
 * @typedef {import('./switchboard/types.js').SendOptions} SendOptions
 * @typedef {import('./switchboard/types.js').Sent} Sent
 * @typedef {import('./switchboard/types.js').Path} Path
 * @typedef {import('./switchboard/types.js').RoomEvents} RoomEvents
 * @typedef {import('./switchboard/types.js').Step} Step
 * @typedef {import('./switchboard/types.js').Data} Data
 * @typedef {import('./switchboard/types.js').Recipient} Recipient
 * @typedef {import('./switchboard/types.js').Delivery} Delivery
 * @typedef {import('./switchboard/types.js').PeerState} PeerState
 * @typedef {import('./switchboard/types.js').LeaveReason} LeaveReason
 * @typedef {import('./switchboard/types.js').SignallingState} SignallingState
 * @typedef {import('./switchboard/types.js').Dialect} Dialect
 */

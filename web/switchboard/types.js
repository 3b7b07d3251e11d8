//! The shapes that the module takes and gives, as types only: nothing here is loaded at run time.

/**
 * @typedef {object} JoinOptions
 * @property {string | URL} [server]  Where the server is; by default where this module came from.
 * @property {string} [name]  How the others see you: a label of at most 64 characters, not an identity.
 * @property {RTCIceServer[]} [iceServers]  Instead of the ones that the server names.
 * @property {RTCConfiguration} [rtc]  More for each `RTCPeerConnection`, such as `{ iceTransportPolicy: 'relay' }`.
 * @property {'members' | 'newcomer'} [offerer]  Who offers first; `members`, who were there before, by default.
 * @property {'create' | 'new' | 'refuse'} [ifMissing]  What to do where the room does not exist; `create` by default.
 * @property {number} [maxMessageBytes]  The largest message, either way; 16 MiB by default.
 * @property {AbortSignal} [signal]  Gives up joining; once joined it leaves the room.
 */

/**
 * @typedef {object} SendOptions
 * @property {Recipient | readonly Recipient[]} [to]  Everybody in the room by default.
 * @property {(sent: number, total: number) => void} [onProgress]  Bytes handed to the slowest recipient's channel so far.
 */

/**
 * What has become of a message, by recipient. `sent` is the end for peers that acknowledge nothing (`socket.io`).
 * @typedef {object} Sent
 * @property {string} id
 * @property {ReadonlyMap<string, Delivery>} to
 * @property {Promise<void>} done  Fulfilled once no recipient's state can change any more, failed ones included.
 */

/**
 * How two peers reach each other, from the selected candidate pair.
 * @typedef {object} Path
 * @property {'direct' | 'relayed'} kind
 * @property {CandidateType} local
 * @property {CandidateType} remote
 * @property {'udp' | 'tcp'} protocol
 * @property {'udp' | 'tcp' | 'tls'} [relayProtocol]  How one's own relay is reached.
 * @property {number | null} rttMs
 * @property {number} bytesSent
 * @property {number} bytesReceived
 * @property {string} [localAddress]
 * @property {string} [remoteAddress]
 */

/**
 * The `detail` of each event of a `Room`.
 * @typedef {object} RoomEvents
 * @property {{ peer: Peer }} peer  Somebody came. Those who are in `room.peers` when `join` answers are not told.
 * @property {{ peer: Peer, connection: RTCPeerConnection }} connection  A new connection, before its first offer: add tracks here.
 * @property {{ peer: Peer, state: PeerState, was: PeerState }} peerstate
 * @property {{ peer: Peer, reason: LeaveReason }} peerleft  Exactly once for each peer.
 * @property {{ peer: Peer, data: string | ArrayBuffer, id: string, sentAt: Date | null, receivedAt: Date, binary: boolean }} message
 * @property {{ peer: Peer, id: string, received: number, total: number }} progress
 * @property {{ id: string, peer: Peer, state: Delivery }} delivery
 * @property {{ peer: Peer, name: string, was: string }} renamed
 * @property {{ state: SignallingState, was: SignallingState, reason?: string, retryInMs?: number }} signalling
 * @property {{ peer: Peer, track: MediaStreamTrack, streams: readonly MediaStream[] }} track
 * @property {Step} step
 * @property {{ error: SwitchboardError }} error
 */

/**
 * One step of signalling or negotiation, for a timeline.
 * @typedef {object} Step
 * @property {Date} time
 * @property {Peer} [peer]
 * @property {string} kind
 * @property {string} text
 * @property {object} [detail]
 */

/** @typedef {import('./peer.js').Peer} Peer */
/** @typedef {import('./errors.js').SwitchboardError} SwitchboardError */
/** @typedef {string | ArrayBuffer | ArrayBufferView | Blob} Data */
/** @typedef {string | Peer} Recipient */
/** @typedef {'queued' | 'sending' | 'sent' | 'delivered' | 'failed'} Delivery */
/** @typedef {'connecting' | 'open' | 'interrupted' | 'left'} PeerState */
/** @typedef {'left' | 'lost' | 'removed' | 'gone'} LeaveReason */
/** @typedef {'connecting' | 'open' | 'lost' | 'closed'} SignallingState */
/** @typedef {'host' | 'srflx' | 'prflx' | 'relay'} CandidateType */
/** @typedef {'switchboard' | 'socket.io'} Dialect */

export {}

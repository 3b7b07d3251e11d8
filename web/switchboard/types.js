//! The shapes that the module takes and gives, as types only: nothing here is loaded at run time.

/**
 * @typedef {object} JoinOptions
 * @property {string | URL} [server]  Where the server is; by default where this module came from.
 * @property {string} [name]  How the others see you: a label of at most 64 characters, not an identity.
 * @property {RTCIceServer[]} [iceServers]  Instead of the ones that the server names.
 * @property {boolean} [relayOnly]  Hides one's address from the others: connections go through relays alone. Later: `room.relayOnly`.
 * @property {RTCConfiguration} [rtc]  More for each `RTCPeerConnection`.
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

/** @typedef {import('./member.js').Peer} Peer */
/** @typedef {import('./wire.js').SwitchboardError} SwitchboardError */
/** @typedef {string | ArrayBuffer | ArrayBufferView | Blob} Data */
/** @typedef {string | Peer} Recipient */
/** @typedef {'queued' | 'sending' | 'sent' | 'delivered' | 'failed'} Delivery */
/** @typedef {'connecting' | 'open' | 'interrupted' | 'left'} PeerState */
/** @typedef {'left' | 'lost' | 'removed' | 'gone'} LeaveReason */
/** @typedef {'connecting' | 'open' | 'lost' | 'closed'} SignallingState */
/** @typedef {'host' | 'srflx' | 'prflx' | 'relay'} CandidateType */
/** @typedef {'switchboard' | 'socket.io'} Dialect */

// From here on: between the module's own parts.

/** @typedef {Record<string, unknown>} Fields */
/** @typedef {{ id: string, name: string, dialect: Dialect, away: boolean }} MemberInfo */

/**
 * The server's greeting.
 * @typedef {object} Welcome
 * @property {string} id
 * @property {string} resume
 * @property {boolean} resumed
 * @property {{ room: string, members: MemberInfo[], iceServers?: RTCIceServer[] }[]} rooms
 * @property {RTCIceServer[]} iceServers
 * @property {{ messageBytes?: number }} [limits]
 */

/**
 * What a room learns from `Signalling`.
 * @typedef {object} SignallingListener
 * @property {(entered: Entered) => void} entered  One is in the room, for the first time or again.
 * @property {(message: ReturnType<typeof import('./wire.js').readMessage>) => void} message  About peers, or from one.
 * @property {() => void} renewed  The ICE servers are others now, or have other credentials.
 * @property {(change: RoomEvents['signalling']) => void} state
 * @property {(kind: string, text: string, detail?: object) => void} step
 * @property {(error: SwitchboardError) => void} error
 * @property {(error: SwitchboardError) => void} refused  The first attempt to join failed; it is over.
 */

/**
 * @typedef {object} Entered
 * @property {string} id  One's own; another than before where the server did not know it any more.
 * @property {string} room
 * @property {boolean} created
 * @property {MemberInfo[]} members
 */

/**
 * What a `Member` asks of its room.
 * @typedef {object} Host
 * @property {() => RTCConfiguration} config
 * @property {(type: SignalType, to: string, data: object) => boolean} signal  False where there is no way now.
 * @property {<T extends keyof RoomEvents>(type: T, detail: RoomEvents[T]) => void} emit
 * @property {(member: import('./member.js').Member, reason: LeaveReason, byServer: boolean) => void} left
 * @property {(data: Data, options: SendOptions) => Sent} send
 */

/** @typedef {'offer' | 'answer' | 'candidate'} SignalType */
/** @typedef {{ type: SignalType, data: unknown }} Signal */

/**
 * @typedef {object} LinkOptions
 * @property {RTCConfiguration} config
 * @property {boolean} polite
 * @property {boolean} foreign  A `socket.io` peer: it makes a new connection for each offer, and so is never renegotiated with.
 */

/**
 * What a `Link` asks of its member.
 * @typedef {object} LinkListener
 * @property {(type: SignalType, data: object) => boolean} send  To the peer, through the server; false where there is no way now.
 * @property {(pending: Signal[]) => void} replaced  The counterpart is another connection now: make a new link, give it these.
 * @property {() => void} changed  The connection's state or the channel.
 * @property {(event: RTCTrackEvent) => void} track
 * @property {(kind: string, text: string, detail?: object) => void} step
 * @property {(error: SwitchboardError) => void} error
 */

/**
 * What is said to one peer and heard from it, over one data channel after another.
 * @typedef {object} Conversation
 * @property {boolean} plain
 * @property {(channel: RTCDataChannel, maxMessageSize: number) => void} attach  The channel is open.
 * @property {() => void} detach
 * @property {(message: import('./room.js').Message, recipient: Delivering) => void} send
 * @property {() => void} ping  Asks for a sign of life.
 * @property {() => void} bye  Says that we leave.
 * @property {() => void} abandon  The peer left: nothing more will be delivered.
 */

/**
 * What a member learns from its conversation.
 * @typedef {object} ConversationListener
 * @property {() => void} heard  Any sign of life.
 * @property {(id: string, data: string | ArrayBuffer, at: number) => void} message
 * @property {(id: string, received: number, total: number) => void} progress
 * @property {() => void} bye
 * @property {(error: SwitchboardError) => void} error
 */

/**
 * What becomes of a message on its way to one peer.
 * @typedef {object} Delivering
 * @property {(state: Delivery, final: boolean) => void} changed
 * @property {(bytes: number) => void} progressed
 * @property {(error: SwitchboardError) => void} failed
 */

/**
 * The frames of docs/protocol/channel.md.
 * @typedef {{ type: 'hello', maxBytes: number, totalBytes: number, streams: number }} Hello
 * @typedef {{ type: 'text', id: string, text: string, at: number }} Text
 * @typedef {{ type: 'begin', id: string, stream: number, bytes: number, binary: boolean, at: number }} Begin
 * @typedef {{ type: 'cancel', stream: number }} Cancel
 * @typedef {{ type: 'ack', id: string }} Ack
 * @typedef {{ type: 'refuse', id: string, code: string, message: string }} Refuse
 * @typedef {{ type: 'ping' | 'pong', n: number }} Beat
 * @typedef {{ type: 'bye' }} Bye
 * @typedef {Hello | Text | Begin | Cancel | Ack | Refuse | Beat | Bye} Frame
 */

export {}

//! One game on one machine, as far as its network goes.

use std::time::Duration;

use matchbox_socket::{Error, PeerId, PeerState, RtcIceServerConfig, WebRtcChannel, WebRtcSocket};
use smol::Task;
use smol::stream::StreamExt as _;

use crate::soon;

/// How long an answer to an unreliable message may take before it is sent again.
const RESEND: Duration = Duration::from_millis(500);

/// A client with two channels, an unreliable and a reliable one.
#[derive(Debug)]
pub struct Player {
    socket: WebRtcSocket,
    unreliable: WebRtcChannel,
    reliable: WebRtcChannel,
    work: Task<Result<(), Error>>,
}

impl Player {
    /// Begins to enter the room, in as many attempts. No ICE server is asked: everybody is on this machine.
    pub fn enter_in(url: &str, attempts: u16) -> Self {
        let nobody = RtcIceServerConfig { urls: Vec::new(), username: None, credential: None };
        let (mut socket, work) = WebRtcSocket::builder(url)
            .ice_server(nobody)
            .reconnect_attempts(Some(attempts))
            .add_unreliable_channel()
            .add_reliable_channel()
            .build();
        let unreliable = socket.take_channel(0).expect("the first channel");
        let reliable = socket.take_channel(1).expect("the second channel");
        Self { socket, unreliable, reliable, work: smol::spawn(work) }
    }

    /// Begins to enter the room.
    pub fn enter(url: &str) -> Self {
        Self::enter_in(url, 1)
    }

    /// Who one is, once the server has said it.
    pub async fn id(&mut self) -> PeerId {
        let socket = &mut self.socket;
        soon("an id", async {
            loop {
                match socket.id() {
                    Some(id) => return id,
                    None => smol::Timer::after(Duration::from_millis(5)).await,
                };
            }
        })
        .await
    }

    /// The next peer to whom all channels are open.
    pub async fn meets(&mut self) -> PeerId {
        let (id, state) = self.change().await;
        assert_eq!(state, PeerState::Connected, "{id}");
        id
    }

    /// The next peer that is gone.
    pub async fn misses(&mut self) -> PeerId {
        let (id, state) = self.change().await;
        assert_eq!(state, PeerState::Disconnected, "{id}");
        id
    }

    async fn change(&mut self) -> (PeerId, PeerState) {
        soon("a peer", self.socket.next()).await.expect("the client goes on")
    }

    /// Changes that have come and that nobody has waited for.
    pub fn unread(&mut self) -> Vec<(PeerId, PeerState)> {
        self.socket.try_update_peers().unwrap_or_default()
    }

    /// Sends `to` a message on the reliable channel.
    pub fn send(&mut self, to: PeerId, text: &str) {
        self.reliable.send(text.as_bytes().to_vec().into(), to);
    }

    /// The next message on the reliable channel, and from whom it is.
    pub async fn hears(&mut self) -> (PeerId, String) {
        let (from, packet) = soon("a message", self.reliable.next()).await.expect("the client goes on");
        (from, String::from_utf8(packet.to_vec()).expect("text"))
    }

    /// Sends `text` on the unreliable channel until `other` has it; nothing is promised of any single message.
    pub async fn shouts(&mut self, to: PeerId, other: &mut Self, text: &str) {
        let heard = async {
            loop {
                self.unreliable.send(text.as_bytes().to_vec().into(), to);
                let late = async {
                    smol::Timer::after(RESEND).await;
                    None
                };
                if let Some((_, packet)) = smol::future::or(other.unreliable.next(), late).await
                    && &*packet == text.as_bytes()
                {
                    return;
                }
            }
        };
        soon("an unreliable message", heard).await;
    }

    /// How the client ended, without leaving by itself.
    pub async fn ends(self) -> Result<(), Error> {
        // It ends where nobody can be met any more, as long as its socket is held.
        let held = (self.socket, self.unreliable, self.reliable);
        let ended = soon("the end of the client", self.work).await;
        drop(held);
        ended
    }

    /// Leaves, and returns when the client has ended.
    pub async fn leaves(self) {
        drop((self.socket, self.unreliable, self.reliable));
        // How it ends says nothing: who leaves is asked nothing more.
        let _ = soon("the end of the client", self.work).await;
    }
}

//! The doors in somebody else's program: a host with its own pages serves them, plain or with TLS, at `/` or under a prefix.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::middleware::map_request;
use axum::routing::get;
use axum::serve::{Listener, ListenerExt as _};
use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use switchboard_server::config::MountPath;
use switchboard_server::{
    Config, Dialect, Event, Events, Hooks, LeaveReason, Namespace, PathTaken, Signalling, SpawnError, Verdict,
};
use switchboard_testkit::{Ended, EngineVersion, PollingClient, RoomsClient, SocketIoClient, get as http_get, soon};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::tungstenite::{self, Message};

/// A host that says who it is at `/` and has the doors where its test wants them.
struct Host {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Host {
    async fn serve(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::serve_on(listener, app)
    }

    fn serve_on(listener: TcpListener, app: Router) -> Self {
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let app = app.route("/", get(|| async { "the host's page" }));
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let until = async move { drop(stopped.await) };
        let serving = tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(until).await });
        Self { address, stop, serving }
    }

    /// Stops as a program does that is told to: the switchboard first, so that nobody waits for it.
    async fn stop(self, signalling: Signalling) {
        signalling.shutdown();
        let _ = self.stop.send(());
        soon("the host to stop", self.serving).await.expect("no panic").expect("served");
        soon("the doors to close", signalling.join()).await;
    }
}

/// Each of these made the router panic.
#[tokio::test]
async fn two_doors_at_one_path_are_refused_before_there_is_a_router() {
    let paths = |text: &str| vec![MountPath::parse(text).expect("a path")];
    type Change = fn(&mut Config, Vec<MountPath>);
    let changes: [(&str, Change); 7] = [
        ("/ws", |config, paths| config.relay.paths = paths),
        ("/switchboard.js", |config, paths| config.relay.paths = paths),
        ("/ice", |config, paths| config.matchbox.paths = paths),
        ("/switchboard", |config, paths| config.matchbox.paths = paths),
        ("/socket.io", |config, paths| config.matchbox.paths = paths),
        ("/switchboard", |config, paths| config.peerjs.paths = paths),
        ("/socket.io", |config, paths| config.peerjs.paths = paths),
    ];
    for (path, change) in changes {
        let mut config = Config::embedded();
        change(&mut config, paths(path));
        let refused = Signalling::new(config).expect_err(path);
        assert!(matches!(&refused, SpawnError::PathTaken(PathTaken { path: at, .. }) if at == path), "{refused}");
    }
    let mut config = Config::embedded();
    config.matchbox.paths = paths("/app");
    let _router = Signalling::new(config).expect("the page is the host's").router();
}

fn signalling() -> Signalling {
    Signalling::new(Config::embedded()).expect("no TURN, no failure")
}

/// Two clients of the rooms protocol meet and negotiate.
async fn meet(mut ann: RoomsClient, mut bob: RoomsClient) {
    ann.say_hello().await;
    ann.enter("embedded").await;
    bob.say_hello().await;
    let joined = bob.enter("embedded").await;
    assert_eq!(joined["members"][0]["id"], ann.id.as_str(), "{joined}");
    assert_eq!(ann.expect("peer-joined").await["peer"]["id"], bob.id.as_str());
    bob.offer(&ann.id, json!({"sdp": "v=0"})).await;
    assert_eq!(ann.expect("offer").await["data"], json!({"sdp": "v=0"}));
    let large = "x".repeat(50_000);
    ann.offer(&bob.id, json!(large)).await;
    assert_eq!(bob.expect("offer").await["data"], large.as_str());
}

#[tokio::test]
async fn clients_of_the_rooms_protocol_meet_at_the_root_and_under_a_prefix() {
    let signalling = signalling();
    let app = Router::new().merge(signalling.router()).nest("/signal", signalling.router());
    let host = Host::serve(app).await;
    let (at_root, nested) = (format!("ws://{}/ws", host.address), format!("ws://{}/signal/ws", host.address));
    let ann = RoomsClient::open(&at_root, &[]).await.expect("the socket opens");
    let bob = RoomsClient::open(&nested, &[]).await.expect("the socket opens");
    meet(ann, bob).await;
    assert_eq!(http_get(host.address, "/").await.body, "the host's page");
    let module = http_get(host.address, "/signal/switchboard.js").await;
    assert_eq!((module.status, module.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(http_get(host.address, "/signal/switchboard/room.js").await.status, 200);
    assert_eq!(http_get(host.address, "/signal/elsewhere").await.status, 404);
}

#[tokio::test]
async fn socketio_polls_moves_to_a_websocket_and_meets_one_that_began_there() {
    let signalling = signalling();
    let host = Host::serve(Router::new().nest("/signal", signalling.router())).await;
    let url = format!("ws://{}/signal/socket.io/?EIO=4&transport=websocket", host.address);
    let mut ann = SocketIoClient::open(&url, EngineVersion::V4).await;
    let room = ann.create_room().await;
    let mut bob = PollingClient::open_at(host.address, "/signal", EngineVersion::V4, &[]).await;
    let id = bob.enter().await;
    bob.say(&format!("42{}", json!(["join-room", room]))).await;
    assert_eq!(ann.event().await, json!(["new-user-joined", id]));
    ann.emit(json!(["rtc-offer", id, {"sdp": "v=0"}])).await;
    assert_eq!(bob.hear().await, format!("42{}", json!(["rtc-offer", ann.id, {"sdp": "v=0"}])));

    let mut socket = bob.upgrade().await.expect("the socket opens");
    socket.say("2probe").await;
    assert_eq!(socket.hear().await.as_deref(), Some("3probe"));
    bob.begin_poll().await;
    assert_eq!(bob.end_poll().await.body, "6");
    socket.say("5").await;
    ann.emit(json!(["rtc-answer", id, 1])).await;
    assert_eq!(socket.hear().await, Some(format!("42{}", json!(["rtc-answer", ann.id, 1]))));
    socket.close().await;
    assert_eq!(ann.event().await, json!(["user-disconnected", id]));
}

#[tokio::test]
async fn peerjs_and_topics_are_there_too_and_the_hosts_paths_stay_its_own() {
    let signalling = signalling();
    let app = Router::new().nest("/signal", signalling.router()).route("/{user}/profile", get(|| async { "hers" }));
    let host = Host::serve(app.merge(signalling.router())).await;
    for base in [format!("{}", host.address), format!("{}/signal", host.address)] {
        let open = async |id: &str| {
            let url = format!("ws://{base}/peerjs?key=peerjs&id={id}&token=t");
            let mut client = RoomsClient::open(&url, &[]).await.expect("the socket opens");
            client.expect("OPEN").await;
            client
        };
        let (mut ann, mut bob) = (open("ann").await, open("bob").await);
        ann.send(&json!({"type": "OFFER", "dst": "bob", "payload": {"sdp": 1}})).await;
        assert_eq!(
            bob.expect("OFFER").await,
            json!({"type": "OFFER", "src": "ann", "dst": "bob", "payload": {"sdp": 1}})
        );
        let mut client = RoomsClient::open(&format!("ws://{base}/relay"), &[]).await.expect("the socket opens");
        client.send(&json!({"type": "subscribe", "topic": "t"})).await;
        client.send(&json!({"type": "publish", "topic": "t", "payload": 1})).await;
        assert_eq!(client.next().await, json!({"topic": "t", "payload": 1}));
        // The next round takes the same ids with the same token.
    }
    for path in ["/peerjs/id", "/signal/peerjs/id", "/signal/peerjs/peerjs/id"] {
        let id = http_get(host.address, path).await;
        assert_eq!((id.status, id.body.len()), (200, 36), "{path}");
    }
    assert_eq!(
        http_get(host.address, "/signal/peerjs/").await.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(http_get(host.address, "/ann/profile").await.body, "hers");
    assert_eq!(http_get(host.address, "/").await.body, "the host's page");
}

/// A webrtc-star peer of a page that is elsewhere, as such pages are, on its way to join.
async fn star(host: &Host, base: &str, version: EngineVersion, address: &str) -> SocketIoClient {
    let path = format!("{base}/socket.io{}/", if version == EngineVersion::V4 { "-next" } else { "" });
    let page = [("origin", "https://page.example")];
    let mut peer = SocketIoClient::connect_from(host.address, &path, version, &page).await.expect("the socket opens");
    peer.emit(json!(["ss-join", address])).await;
    peer
}

/// What the next event carries that is no announcement.
async fn signal(peer: &mut SocketIoClient) -> Value {
    loop {
        let event = peer.event().await;
        if event[0] != "ws-peer" {
            return event[1].clone();
        }
    }
}

#[tokio::test]
async fn webrtc_star_peers_of_both_generations_hear_of_each_other_and_shake_hands() {
    let mut config = Config::embedded();
    config.star.announce_interval = Duration::from_millis(200);
    let signalling = Signalling::new(config).expect("no TURN, no failure");
    let mut events = signalling.events();
    let app = Router::new().merge(signalling.router()).nest("/signal", signalling.router());
    let host = Host::serve(app).await;
    let mut ann = star(&host, "", EngineVersion::V4, "/ann").await;
    let Event::Named { namespace: Namespace::Star, name, .. } = next(&mut events).await else { panic!("no name") };
    assert_eq!(name.as_str(), "/ann");
    let mut ben = star(&host, "/signal", EngineVersion::V3, "/ben").await;
    assert_eq!(ann.event().await, json!(["ws-peer", "/ben"]), "at once");
    assert_eq!(ben.event().await, json!(["ws-peer", "/ann"]), "within the interval");
    let call = |from, to| json!(["ss-handshake", {"intentId": "1", "srcMultiaddr": from, "dstMultiaddr": to, "signal": {"type": "offer"}}]);
    ann.emit(call("/ann", "/ben")).await;
    let mut heard = signal(&mut ben).await;
    assert_eq!(heard, call("/ann", "/ben")[1]);
    heard["answer"] = true.into();
    ben.emit(json!(["ss-handshake", heard])).await;
    assert_eq!(signal(&mut ann).await, heard);
    ben.emit(json!(["ss-leave"])).await;
    ben.emit(call("/ben", "/ann")).await;
    assert_eq!(signal(&mut ben).await["code"], "not-yours");
    ann.emit(call("/ann", "/ben")).await;
    assert_eq!(signal(&mut ann).await["err"], "peer is not available", "who has left neither calls nor is called");
    let both_end = async move {
        while ann.packet_or_end().await.is_some() {}
        while ben.packet_or_end().await.is_some() {}
    };
    tokio::join!(host.stop(signalling), both_end);
}

/// The host's TLS: what it hands over is no TCP socket.
struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((socket, address)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(socket).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A certificate for localhost, and a client that trusts it.
fn tls() -> (TlsAcceptor, TlsConnector) {
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    let chain = vec![CertificateDer::from(cert)];
    let mut roots = RootCertStore::empty();
    roots.add(chain[0].clone()).expect("a root");
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(signing_key.serialize_der().into()))
        .expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

type TlsSocket = tokio_tungstenite::WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>;

async fn say(socket: &mut TlsSocket, message: Value) {
    soon("the server to read", socket.send(Message::text(message.to_string()))).await.expect("the socket stands");
}

/// The next message of this type.
async fn hear(socket: &mut TlsSocket, kind: &str) -> Value {
    loop {
        let frame = soon(kind, socket.next()).await.expect("an open socket").expect("a frame");
        if let Message::Text(text) = frame {
            let message: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(message["type"], kind, "{message}");
            return message;
        }
    }
}

#[tokio::test]
async fn websockets_work_through_a_hosts_own_tls_up_to_the_goodbye() {
    let signalling = signalling();
    let (acceptor, connector) = tls();
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tcp.local_addr().expect("an address");
    let app = signalling.router().into_make_service_with_connect_info::<SocketAddr>();
    let listener = TlsListener { tcp, acceptor }.tap_io(|_| ());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });

    let open = async || {
        let tcp = TcpStream::connect(address).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = soon("TLS", connector.connect(name, tcp)).await.expect("TLS");
        let url = format!("wss://localhost:{}/ws", address.port());
        soon("the handshake", Box::pin(tokio_tungstenite::client_async(url, stream))).await.expect("the socket opens").0
    };
    let (mut ann, mut bob) = (open().await, open().await);
    let mut ids = Vec::new();
    for socket in [&mut ann, &mut bob] {
        say(socket, json!({"type": "hello", "v": 1})).await;
        ids.push(hear(socket, "welcome").await["id"].clone());
        say(socket, json!({"type": "join", "room": "behind-tls"})).await;
        hear(socket, "joined").await;
    }
    hear(&mut ann, "peer-joined").await;
    // Longer than a record of TLS, and several that wait.
    let large = "x".repeat(60_000);
    for round in 0..20 {
        for n in 0..3 {
            say(&mut ann, json!({"type": "offer", "to": ids[1], "data": [round, n, large]})).await;
        }
        for n in 0..3 {
            let offer = hear(&mut bob, "offer").await;
            assert_eq!((&offer["data"][0], &offer["data"][1]), (&json!(round), &json!(n)));
        }
    }
    signalling.shutdown();
    hear(&mut bob, "goodbye").await;
    let last = soon("the close", bob.next()).await.expect("a frame").expect("no error");
    assert!(matches!(last, Message::Close(Some(_))), "{last:?}");
    assert!(soon("the end", bob.next()).await.is_none(), "TLS was ended in good order");
    drop((ann, bob));
    soon("the doors to close", signalling.join()).await;
    serving.abort();
}

#[tokio::test]
async fn a_host_that_does_not_say_who_calls_is_told_so() {
    let signalling = signalling();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(axum::serve(listener, signalling.router()).into_future());
    let reply = http_get(address, "/ws").await;
    assert_eq!((reply.status, reply.body.as_str()), (500, "This program does not tell its switchboard who calls.\n"));
    serving.abort();
}

#[tokio::test]
async fn a_host_may_say_itself_who_calls_and_limits_count_by_it() {
    let mut config = Config::embedded();
    config.limits.connections_per_address = 1;
    let signalling = Signalling::new(config).expect("started");
    let caller = async |mut request: axum::extract::Request| {
        let from = request.headers().get("x-caller").and_then(|value| value.to_str().ok()?.parse().ok());
        let from: SocketAddr = from.expect("the test says who calls");
        request.extensions_mut().insert(ConnectInfo(from));
        request
    };
    let host = Host::serve(signalling.router().layer(map_request(caller))).await;
    let url = format!("ws://{}/ws", host.address);
    let _held = RoomsClient::open(&url, &[("x-caller", "192.0.2.1:1")]).await.expect("the first");
    let refused = RoomsClient::open(&url, &[("x-caller", "192.0.2.1:2")]).await.expect_err("the second");
    assert_eq!(status(&refused), 429);
    RoomsClient::open(&url, &[("x-caller", "192.0.2.2:1")]).await.expect("another address");
}

fn status(error: &tungstenite::Error) -> u16 {
    match error {
        tungstenite::Error::Http(response) => response.status().as_u16(),
        other => panic!("no answer of HTTP but {other}"),
    }
}

fn sentence(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => {
            String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned()
        }
        other => panic!("no answer of HTTP but {other}"),
    }
}

#[tokio::test]
async fn the_host_decides_in_every_dialect_who_is_let_in() {
    let hooks = Hooks::new().authorise(|visit| async move {
        // As if a database were asked.
        tokio::task::yield_now().await;
        match visit.uri.query().is_some_and(|query| query.contains("pass=open-sesame")) {
            true => Verdict::Admit,
            false => Verdict::Refuse(format!("{:?} from {} needs a pass.", visit.dialect, visit.address)),
        }
    });
    let signalling = Signalling::with_hooks(Config::embedded(), hooks).expect("started");
    let host = Host::serve(Router::new().nest("/signal", signalling.router())).await;
    let base = format!("{}/signal", host.address);

    let refused = RoomsClient::open(&format!("ws://{base}/ws"), &[]).await.expect_err("no pass");
    assert_eq!((status(&refused), sentence(&refused)), (403, "Switchboard from 127.0.0.1 needs a pass.\n".into()));
    RoomsClient::open(&format!("ws://{base}/ws?pass=open-sesame"), &[]).await.expect("a pass");

    let polling = "/signal/socket.io/?EIO=4&transport=polling";
    let refused = http_get(host.address, polling).await;
    let body: Value = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!((refused.status, &body["code"]), (403, &json!(4)));
    assert_eq!(body["message"], "SocketIo from 127.0.0.1 needs a pass.");
    assert_eq!(http_get(host.address, &format!("{polling}&pass=open-sesame")).await.status, 200);
    let socket = format!("ws://{base}/socket.io/?EIO=4&transport=websocket");
    let refused = RoomsClient::open(&socket, &[]).await.expect_err("no pass");
    assert_eq!(status(&refused), 403);
    SocketIoClient::open(&format!("{socket}&pass=open-sesame"), EngineVersion::V4).await;

    // Only on its socket does a PeerJS client read why.
    let peerjs = format!("ws://{base}/peerjs?key=peerjs&id=ann&token=t");
    let mut refused = RoomsClient::open(&peerjs, &[]).await.expect("a socket");
    assert_eq!(refused.expect("ERROR").await["payload"]["msg"], "PeerJs from 127.0.0.1 needs a pass.");
    assert_eq!(refused.end().await, Ended::Broken);
    let mut admitted = RoomsClient::open(&format!("{peerjs}&pass=open-sesame"), &[]).await.expect("a socket");
    admitted.expect("OPEN").await;
    let refused = RoomsClient::open(&format!("ws://{base}/relay"), &[]).await.expect_err("no pass");
    assert_eq!(sentence(&refused), "Relay from 127.0.0.1 needs a pass.\n");
    let matchbox = format!("ws://{base}/matchbox/lobby");
    let refused = RoomsClient::open(&matchbox, &[]).await.expect_err("no pass");
    assert_eq!(sentence(&refused), "Matchbox from 127.0.0.1 needs a pass.\n");
    let mut admitted = RoomsClient::open(&format!("{matchbox}?pass=open-sesame"), &[]).await.expect("a socket");
    assert!(admitted.next().await["IdAssigned"].is_string());
}

async fn next(events: &mut Events) -> Event {
    soon("an event", events.next()).await.expect("the signalling lives").expect("none was missed")
}

#[tokio::test]
async fn the_host_learns_who_joined_and_left() {
    let signalling = signalling();
    let mut events = signalling.events();
    let host = Host::serve(signalling.router()).await;
    let ann = RoomsClient::join(host.address, "watched").await;
    let (peer, room): (switchboard_server::PeerId, switchboard_server::RoomId) =
        (ann.id.parse().expect("an id"), "watched".parse().expect("a room"));
    let joined = Event::Joined { peer, room: room.clone(), dialect: Dialect::Switchboard };
    assert_eq!(next(&mut events).await, joined);
    ann.close().await;
    assert_eq!(next(&mut events).await, Event::Left { peer, room, reason: LeaveReason::Left });

    let url = format!("ws://{}/relay", host.address);
    let mut ben = RoomsClient::open(&url, &[]).await.expect("the socket opens");
    ben.send(&json!({"type": "subscribe", "topic": "t"})).await;
    let Event::Named { conn, namespace: Namespace::Topics, name } = next(&mut events).await else { panic!("no name") };
    assert_eq!(name.as_str(), "t");
    ben.vanish();
    assert_eq!(next(&mut events).await, Event::Unnamed { conn, namespace: Namespace::Topics, name });
}

#[tokio::test]
async fn a_host_stops_in_good_order_while_sockets_and_polls_are_open() {
    let signalling = signalling();
    let host = Host::serve(signalling.router()).await;
    let mut ann = RoomsClient::join(host.address, "going").await;
    let (mut bob, _) = PollingClient::connect(host.address).await;
    bob.begin_poll().await;
    let watch = tokio::spawn(async move {
        ann.expect("goodbye").await;
        ann.end().await
    });
    signalling.shutdown();
    // The poll waited, or it came when the session was over: it is answered, so that the host can stop.
    let answer = bob.end_poll().await;
    assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    host.stop(signalling).await;
    assert!(matches!(watch.await.expect("no panic"), Ended::Closed { .. }));
}

#[tokio::test]
async fn dropping_the_signalling_ends_its_sockets() {
    let signalling = signalling();
    let host = Host::serve(signalling.router()).await;
    let mut ann = RoomsClient::join(host.address, "dropped").await;
    drop(signalling);
    assert_eq!(ann.end().await, Ended::Broken);
    drop(host.stop);
    soon("the host to stop", host.serving).await.expect("no panic").expect("served");
}

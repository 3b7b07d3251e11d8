//! The pages, the browser module, and what the operator reads.
#![allow(missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};

use switchboard_server::config::{AdminListen, Origins};
use switchboard_server::{Server, SpawnError};
use switchboard_testkit::{PeerJsClient, PollingClient, RawConnection, RoomsClient, TestServer, get};

#[tokio::test]
async fn the_page_may_do_nothing_that_it_does_not_need() {
    let server = TestServer::spawn().await;
    let page = get(server.address(), "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("a policy");
    for part in ["default-src 'none'", "script-src 'self'", "form-action 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
    assert!(page.header("permissions-policy").is_some());
    assert!(!page.body.contains("style=\"") && !page.body.contains("<style"), "the policy forbids inline styles");
}

#[tokio::test]
async fn the_page_may_connect_to_the_server_alone_under_the_names_by_which_people_come() {
    let server = TestServer::with(|config| config.public_url = Some("https://front.example".into())).await;
    let policy = async |path: &str, headers: &[(&str, &str)], host: &str| {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
        head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        let mut socket = RawConnection::open(server.address()).await;
        socket.write(format!("{head}\r\n")).await;
        let policy = socket.reply().await.header("content-security-policy").expect("a policy").to_owned();
        policy.split_once("connect-src ").expect("a rule").1.to_owned()
    };
    let front = "'self' ws://front.example wss://front.example";
    let (page, none) = ("/", "/nothing-here");
    assert_eq!(policy(page, &[], "a.example:3000").await, format!("{front} ws://a.example:3000 wss://a.example:3000"));
    assert_eq!(policy(none, &[], "a.example").await, format!("{front} ws://a.example wss://a.example"));
    let outer = ("X-Forwarded-Host", "outer.example");
    let both = format!("{front} ws://outer.example wss://outer.example ws://a.example wss://a.example");
    assert_eq!(policy(page, &[outer], "a.example").await, both);
    for other in ["[::1]:3000", "a; script-src *", "*"] {
        assert_eq!(policy(page, &[("X-Forwarded-Host", other)], "*").await, front, "{other}");
    }
}

#[tokio::test]
async fn an_unchanged_file_is_not_sent_again() {
    let server = TestServer::spawn().await;
    let first = get(server.address(), "/switchboard.js").await;
    assert_eq!(first.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let tag = first.header("etag").expect("a tag").to_owned();
    let mut again = RawConnection::open(server.address()).await;
    let unchanged = again.request("GET", "/switchboard.js", &[("If-None-Match", &tag)], "").await;
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
    assert_eq!(unchanged.header("etag"), Some(tag.as_str()));
    let changed = get_with(&server, "/switchboard.js", ("If-None-Match", "\"another\"")).await;
    assert_eq!(changed.status, 200);
}

async fn get_with(server: &TestServer, path: &str, header: (&str, &str)) -> switchboard_testkit::Reply {
    RawConnection::open(server.address()).await.request("GET", path, &[header], "").await
}

#[tokio::test]
async fn the_module_can_be_imported_from_listed_origins_only() {
    let listed = Origins::Listed(vec!["https://app.example".into()]);
    let server = TestServer::with(|config| config.origins = listed).await;
    for path in ["/switchboard.js", "/switchboard/room.js"] {
        let friend = get_with(&server, path, ("Origin", "https://app.example")).await;
        assert_eq!(friend.header("access-control-allow-origin"), Some("https://app.example"), "{path}");
        let stranger = get_with(&server, path, ("Origin", "https://evil.example")).await;
        assert_eq!(stranger.header("access-control-allow-origin"), None, "{path}");
    }
    let page = get_with(&server, "/", ("Origin", "https://app.example")).await;
    assert_eq!(page.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn files_of_developers_and_paths_outside_are_not_served() {
    let server = TestServer::spawn().await;
    for path in ["/tsconfig.json", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/.git/config", "/app", "/metrics"] {
        assert_eq!(get(server.address(), path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_operator_reads_metrics_on_a_listener_of_its_own() {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = TestServer::with(|config| config.admin_listen = AdminListen::At(loopback)).await;
    let mut ann = RoomsClient::join(server.address(), "aUa62LD8NZ").await;
    let bob = RoomsClient::join(server.address(), "aUa62LD8NZ").await;
    let (_sample, _) = PollingClient::connect(server.address()).await;
    ann.expect("peer-joined").await;
    ann.offer(&bob.id, "x".into()).await;
    ann.assert_silent().await;
    let _old = PeerJsClient::open(server.address(), "user-made", "token").await;
    let _new = PeerJsClient::open(server.address(), "user-made", "token").await;
    let metrics = get(server.admin_address(), "/metrics").await;
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")));
    for line in [
        "switchboard_signal_connections{dialect=\"switchboard\"} 2",
        "switchboard_signal_connections{dialect=\"socket.io\"} 1",
        "switchboard_rooms 1",
        "switchboard_joins_total{dialect=\"switchboard\",result=\"joined\"} 2",
        "switchboard_messages_relayed_total{dialect=\"switchboard\"} 1",
        "switchboard_signal_connections{dialect=\"peerjs\"} 1",
        "switchboard_names{dialect=\"peerjs\"} 1",
        "switchboard_claims_total{dialect=\"peerjs\",result=\"held\"} 2",
        "switchboard_takeovers_total{reason=\"returned\"} 1",
        "switchboard_messages_undelivered_total{dialect=\"peerjs\"} 0",
        "webrtc_star_peers 0",
        "switchboard_refusals_total{reason=\"draining\"} 0",
        "switchboard_build_info{version=",
    ] {
        assert!(metrics.body.contains(line), "{line} is missing in\n{}", metrics.body);
    }
    assert!(!metrics.body.contains(&ann.id) && !metrics.body.contains("aUa62LD8NZ"), "nothing of users");
    assert!(!metrics.body.contains("user-made"), "nothing of users");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(server.admin_address(), path).await.status, 200, "{path}");
        assert_eq!(get(server.address(), path).await.status, 200, "{path}");
    }
    assert_eq!(get(server.admin_address(), "/").await.status, 404);
}

#[tokio::test]
async fn a_draining_server_is_not_ready() {
    let server = TestServer::spawn().await;
    // Somebody keeps the server from ending at once.
    let deaf = RoomsClient::hello(server.address()).await;
    server.server().shutdown();
    let mut answer = get(server.address(), "/readyz").await;
    while answer.status == 200 {
        // Not yet told to all tasks.
        answer = get(server.address(), "/readyz").await;
    }
    assert_eq!((answer.status, answer.body.as_str()), (503, "shutting down\n"));
    let newcomer = RoomsClient::connect_from(server.address(), &[]).await;
    let refused = newcomer.expect_err("nobody is admitted during the drain").to_string();
    assert!(refused.contains("503"), "{refused}");
    drop(deaf);
}

#[tokio::test]
async fn the_operator_is_answered_until_the_drain_is_over() {
    let server = TestServer::with(|config| {
        config.admin_listen = AdminListen::At(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.drain_timeout = std::time::Duration::from_secs(3600);
    })
    .await;
    let admin = server.admin_address();
    let mut scraper = RawConnection::open(admin).await;
    assert_eq!(scraper.request("GET", "/readyz", &[], "").await.status, 200);
    let mut client = RoomsClient::hello(server.address()).await;
    server.server().shutdown();
    assert_eq!(client.expect("goodbye").await["code"], "shutting-down");
    scraper.read_to_end().await;
    // Again and again: the first answer could still come from before the drain.
    for _ in 0..3 {
        assert_eq!(get(admin, "/readyz").await.status, 503);
        assert_eq!(get(admin, "/healthz").await.status, 200);
        let metrics = get(admin, "/metrics").await;
        assert!(metrics.status == 200 && metrics.body.contains("switchboard_"), "{metrics:?}");
    }
    client.end().await;
    drop(client);
    server.stop().await;
    assert!(tokio::net::TcpStream::connect(admin).await.is_err());
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let server = TestServer::spawn().await;
    let taken = server.address();
    let spawn = async |change: fn(&mut switchboard_server::Config, SocketAddr), address| {
        let mut config = switchboard_server::Config::on_loopback();
        change(&mut config, address);
        Server::spawn(config).await
    };
    let error = spawn(|config, address| config.listen = vec![address], taken).await.expect_err("taken");
    assert!(matches!(error, SpawnError::InUse { address } if address == taken), "{error}");
    assert!(error.to_string().contains(&taken.to_string()));
    let error =
        spawn(|config, address| config.admin_listen = AdminListen::At(address), taken).await.expect_err("taken");
    assert!(matches!(error, SpawnError::InUse { .. }), "{error}");
    let started = spawn(|config, address| config.admin_listen = AdminListen::IfFree(address), taken).await;
    assert_eq!(started.expect("goes on without").admin_addr(), None);
    let foreign = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
    let error = spawn(|config, address| config.listen = vec![address], foreign).await.expect_err("not ours");
    assert!(matches!(error, SpawnError::NotAvailable { .. }), "{error}");
    let error = spawn(|config, _| config.listen.clear(), taken).await.expect_err("none");
    assert!(matches!(error, SpawnError::NoAddress), "{error}");
    let error = spawn(|config, _| config.public_url = Some("nonsense".into()), taken).await.expect_err("no origin");
    assert!(matches!(error, SpawnError::BadOrigin { .. }), "{error}");
}

#[tokio::test]
async fn sockets_of_one_address_are_limited_before_they_say_anything() {
    let server = TestServer::with(|config| {
        config.trusted_proxies.clear();
        config.limits.connections_per_address = 2;
    })
    .await;
    // Two sockets for each client that the address may have.
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut socket = RawConnection::open(server.address()).await;
        assert_eq!(socket.request("GET", "/healthz", &[], "").await.status, 200);
        held.push(socket);
    }
    let mut refused = RawConnection::open(server.address()).await;
    let answer = refused.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("Too many connections"), "{answer}");
    held.pop();
    let mut socket = RawConnection::open(server.address()).await;
    // The server may not have noticed yet that a socket is gone.
    while !socket.try_write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await
        || !socket.read_to_end().await.starts_with("HTTP/1.1 200")
    {
        socket = RawConnection::open(server.address()).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer_too() {
    let server = TestServer::with(|config| config.limits.header_timeout = std::time::Duration::from_millis(200)).await;
    let mut idle = RawConnection::open(server.address()).await;
    assert_eq!(idle.request("GET", "/healthz", &[], "").await.status, 200);
    idle.read_to_end().await;
}

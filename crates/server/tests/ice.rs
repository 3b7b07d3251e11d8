//! STUN and TURN servers as pages and programs learn of them: in `/ws` and at `/ice`.
#![allow(missing_docs)]

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use switchboard_server::config::{IceServer, Origins, TurnConfig, TurnListen};
use switchboard_testkit::{RawConnection, Reply, RoomsClient, TestServer};

const ROOM: &str = "aUa62LD8NZ";
const OPERATOR: &str = "Vw8kRz1QmT4xYb7NcJ2pLd";

/// A server with TURN on a free port of loopback.
async fn relaying(change: impl FnOnce(&mut switchboard_server::Config)) -> TestServer {
    TestServer::with(|config| {
        config.turn = TurnConfig {
            listen: TurnListen::At(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]),
            api_tokens: vec![OPERATOR.to_owned()],
            ..TurnConfig::default()
        };
        change(config);
    })
    .await
}

async fn ask(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Reply {
    RawConnection::open(server.address()).await.request("GET", path, headers, "").await
}

async fn ask_as(server: &TestServer, path: &str, token: &str) -> Reply {
    ask(server, path, &[("Authorization", &format!("Bearer {token}"))]).await
}

fn body(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("no JSON: {reply:?}"))
}

/// The name of the TURN user in an answer, without its time.
fn user(servers: &Value) -> String {
    let turn = servers.as_array().expect("an array").last().expect("TURN");
    let (time, user) = turn["username"].as_str().expect("a name").split_once(':').expect("a time");
    assert!(time.parse::<u64>().is_ok() && turn["credential"].as_str().is_some_and(|text| text.len() == 28));
    user.to_owned()
}

#[tokio::test]
async fn a_peer_gets_credentials_of_its_own_for_each_room() {
    let server = relaying(|_| ()).await;
    let udp = server.server().turn_addrs().udp[0];
    let mut ann = RoomsClient::connect(server.address()).await;
    ann.send(&json!({"type": "hello", "v": 1})).await;
    let welcome = ann.expect("welcome").await;
    assert_eq!(welcome["iceLifetimeMs"], 3_600_000);
    assert_eq!(welcome["iceServers"][0]["urls"], json!([format!("stun:{udp}")]));
    let joined = ann.enter(ROOM).await;
    assert_eq!(joined["iceLifetimeMs"], 3_600_000);
    assert_eq!(joined["iceServers"][1]["urls"][0], format!("turn:{udp}?transport=udp"));
    assert_eq!(user(&ann.enter(ROOM).await["iceServers"]), user(&joined["iceServers"]), "or quotas would not hold");
    let other = ann.enter("another-room").await;
    let mut bob = RoomsClient::hello(server.address()).await;
    let bobs = bob.enter(ROOM).await;
    let users = [&welcome, &joined, &other, &bobs].map(|message| user(&message["iceServers"]));
    assert_eq!(users.iter().collect::<HashSet<_>>().len(), 4, "{users:?}");
    assert!(users.iter().all(|user| user.len() == 16));
}

#[tokio::test]
async fn fresh_credentials_come_by_themselves() {
    let server = relaying(|config| config.turn.credential_lifetime = Duration::from_secs(1)).await;
    let mut ann = RoomsClient::hello(server.address()).await;
    let joined = ann.enter(ROOM).await;
    for _ in 0..2 {
        let fresh = ann.expect("ice-servers").await;
        assert_eq!((&fresh["room"], &fresh["lifetimeMs"]), (&json!(ROOM), &json!(1000)));
        assert_eq!(user(&fresh["iceServers"]), user(&joined["iceServers"]));
    }
    let (_again, welcome) = RoomsClient::resume(server.address(), &ann.resume).await;
    assert_eq!(user(&welcome["rooms"][0]["iceServers"]), user(&joined["iceServers"]));
    assert_eq!(welcome["rooms"][0]["iceLifetimeMs"], 1000);
}

#[tokio::test]
async fn urls_name_the_host_under_which_the_client_came() {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let server = relaying(|config| config.turn.listen = TurnListen::At(vec![any])).await;
    let port = server.server().turn_addrs().udp[0].port();
    let stun = |reply: &Reply| body(reply)["iceServers"][0]["urls"][0].as_str().expect("a URL").to_owned();
    let authorization = format!("Bearer {OPERATOR}");
    let with = async |host: &str| {
        ask(&server, "/ice", &[("Authorization", authorization.as_str()), ("X-Forwarded-Host", host)]).await
    };
    assert_eq!(stun(&with("Front.example:443").await), format!("stun:front.example:{port}"));
    assert_eq!(stun(&with("a\"b").await), format!("stun:localhost:{port}"));
    let mut ann = RoomsClient::connect_from(server.address(), &[("X-Forwarded-Host", "front.example")])
        .await
        .expect("the socket opens");
    ann.send(&json!({"type": "hello", "v": 1})).await;
    assert_eq!(ann.expect("welcome").await["iceServers"][0]["urls"][0], format!("stun:front.example:{port}"));

    let strict = relaying(|config| {
        config.turn.listen = TurnListen::At(vec![any]);
        config.trusted_proxies.clear();
    })
    .await;
    let port = strict.server().turn_addrs().udp[0].port();
    let headers = [("Authorization", authorization.as_str()), ("X-Forwarded-Host", "front.example")];
    assert_eq!(stun(&ask(&strict, "/ice", &headers).await), format!("stun:localhost:{port}"), "a stranger's word");
}

#[tokio::test]
async fn a_connected_peer_asks_with_its_resume_token() {
    let server = relaying(|_| ()).await;
    let mut ann = RoomsClient::connect(server.address()).await;
    ann.send(&json!({"type": "hello", "v": 1})).await;
    let welcome = ann.expect("welcome").await;
    let token = welcome["resume"].as_str().expect("a token");
    let reply = ask_as(&server, "/ice", token).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(body(&reply)["lifetimeSeconds"], 3600);
    assert_eq!(user(&body(&reply)["iceServers"]), user(&welcome["iceServers"]));
    assert_eq!(ask_as(&server, "/ice?user=bob", token).await.status, 403, "for itself alone");
    ann.send(&json!({"type": "bye"})).await;
    ann.end().await;
    assert_eq!(ask_as(&server, "/ice", token).await.status, 401, "its socket is gone");
}

#[tokio::test]
async fn who_cannot_say_who_it_is_gets_a_sentence() {
    let server = relaying(|_| ()).await;
    for token in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA", &OPERATOR[..21]] {
        let reply = ask_as(&server, "/ice", token).await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")), "{token}");
        assert!(reply.body.ends_with(".\n") && !reply.body.contains("iceServers"), "{}", reply.body);
    }
    assert_eq!(ask(&server, "/ice", &[]).await.status, 401);
    assert_eq!(ask(&server, "/ice", &[("Authorization", "Basic QQ==")]).await.status, 401);
    let post = RawConnection::open(server.address()).await.request("POST", "/ice", &[], "").await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, OPTIONS")));
}

#[tokio::test]
async fn an_operator_asks_for_whom_it_likes() {
    let server = relaying(|_| ()).await;
    let named = async |path: &str| user(&body(&ask_as(&server, path, OPERATOR).await)["iceServers"]);
    assert_eq!(named("/ice?user=ann%40example.org").await, "ann@example.org");
    assert_ne!(named("/ice").await, named("/ice").await, "somebody new each time");
    for path in ["/ice?user=", "/ice?user=a:b", "/ice?usr=ann"] {
        assert_eq!(ask_as(&server, path, OPERATOR).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask_and_others_may_not() {
    let friend = "https://friend.example";
    let server = relaying(|config| config.origins = Origins::Listed(vec![friend.to_owned()])).await;
    let preflight = [
        ("Origin", friend),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    let reply = RawConnection::open(server.address()).await.request("OPTIONS", "/ice", &preflight, "").await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), Some(friend));
    assert_eq!(reply.header("access-control-allow-headers"), Some("Authorization"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET"));
    let refused = ask(&server, "/ice", &[("Origin", friend)]).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some(friend)), "it may read why");
    assert_eq!(refused.header("vary"), Some("Origin"));
    let authorization = format!("Bearer {OPERATOR}");
    let stranger = [("Origin", "https://evil.example"), ("Authorization", authorization.as_str())];
    for method in ["GET", "OPTIONS"] {
        let reply = RawConnection::open(server.address()).await.request(method, "/ice", &stranger, "").await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, None), "{method}");
        assert!(!reply.body.contains("credential"), "{}", reply.body);
    }
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits_and_others_and_operators_do_not() {
    let server = relaying(|_| ()).await;
    let mut connection = RawConnection::open(server.address()).await;
    let mut refused = None;
    for _ in 0..500 {
        let reply = connection.request("GET", "/ice", &[("X-Forwarded-For", "192.0.2.1")], "").await;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        assert_eq!(reply.status, 401);
    }
    let refused = refused.expect("the limit is reached");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let other = connection.request("GET", "/ice", &[("X-Forwarded-For", "192.0.2.2")], "").await;
    assert_eq!(other.status, 401);
    let authorization = format!("Bearer {OPERATOR}");
    let headers = [("X-Forwarded-For", "192.0.2.1"), ("Authorization", authorization.as_str())];
    assert_eq!(connection.request("GET", "/ice", &headers, "").await.status, 200);
}

#[tokio::test]
async fn without_turn_there_are_the_operators_servers_alone() {
    let server = TestServer::with(|config| {
        config.turn.api_tokens = vec![OPERATOR.to_owned()];
        config.ice_servers =
            vec![IceServer { urls: vec!["stun:stun.example.org".into()], username: None, credential: None }];
    })
    .await;
    let reply = ask_as(&server, "/ice", OPERATOR).await;
    assert_eq!(body(&reply), json!({"iceServers": [{"urls": ["stun:stun.example.org"]}]}));
    let mut ann = RoomsClient::hello(server.address()).await;
    let joined = ann.enter(ROOM).await;
    assert_eq!(joined["iceServers"], json!([{"urls": ["stun:stun.example.org"]}]));
    assert!(joined.get("iceLifetimeMs").is_none());
}

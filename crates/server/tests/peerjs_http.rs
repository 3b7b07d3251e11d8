//! The PeerJS dialect over HTTP: its addresses beside the page, who may read them, and credentials for the relay.
#![allow(missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use switchboard_server::config::{MountPath, Origins, PeerJsConfig, TurnConfig, TurnListen};
use switchboard_testkit::{PeerJsClient, RawConnection, Reply, TestServer, get};
use tokio_tungstenite::tungstenite;

fn paths(paths: &[&str]) -> Vec<MountPath> {
    paths.iter().map(|path| MountPath::parse(path).expect("a path")).collect()
}

async fn ask(server: &TestServer, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    RawConnection::open(server.address()).await.request(method, path, headers, "").await
}

fn json(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{reply:?}"))
}

#[tokio::test]
async fn the_root_is_the_page_and_the_door_at_once() {
    let server = TestServer::spawn().await;
    let page = get(server.address(), "/").await;
    assert!(page.body.contains("<!doctype html>"), "{page:?}");
    assert_eq!(get(server.address(), "/switchboard.js").await.status, 200);
    assert_eq!(get(server.address(), "/nowhere").await.status, 404);
    let id = get(server.address(), "/peerjs/id?ts=1&version=1.5.5").await;
    assert_eq!((id.status, id.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(id.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(id.body.len(), 36);
    assert_ne!(id.body, get(server.address(), "/peerjs/id").await.body);
    assert_eq!(get(server.address(), "/peerjs/peers").await.status, 401);
    let sign = get(server.address(), "/peerjs").await;
    assert_eq!(json(&sign)["name"], "PeerJS Server", "what Express apps have there");
}

#[tokio::test]
async fn a_path_of_ones_own_holds_everything() {
    let server = TestServer::with(|config| config.peerjs.paths = paths(&["/my/app"])).await;
    for path in ["/my/app", "/my/app/"] {
        let sign = get(server.address(), path).await;
        assert_eq!(sign.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(json(&sign)["website"], "https://peerjs.com/");
    }
    assert_eq!(get(server.address(), "/my/app/peerjs/id").await.body.len(), 36);
    assert_eq!(get(server.address(), "/peerjs/id").await.status, 404);
    let at = "/my/app/peerjs?key=peerjs&id=a&token=t";
    let mut client = PeerJsClient::at(server.address(), at, &[]).await.expect("a socket");
    assert_eq!(client.next().await["type"], "OPEN");
    let elsewhere = PeerJsClient::at(server.address(), "/peerjs?key=peerjs&id=b&token=t", &[]).await;
    assert!(matches!(elsewhere, Err(tungstenite::Error::Http(reply)) if reply.status() == 404));
}

#[tokio::test]
async fn no_path_is_no_door() {
    let server = TestServer::with(|config| config.peerjs.paths = Vec::new()).await;
    assert_eq!(get(server.address(), "/peerjs/id").await.status, 404);
    assert_eq!(get(server.address(), "/peerjs").await.status, 404);
}

#[tokio::test]
async fn pages_of_any_origin_are_served_unless_the_operator_lists_some() {
    let any = TestServer::spawn().await;
    let origin = ("Origin", "https://page.example");
    let id = ask(&any, "GET", "/peerjs/id", &[origin]).await;
    assert_eq!(id.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(id.header("vary"), Some("Origin"));
    let wanted = [origin, ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "x-a, x-b")];
    let preflight = ask(&any, "OPTIONS", "/peerjs/id", &wanted).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (204, Some("x-a, x-b")));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET,HEAD,PUT,PATCH,POST,DELETE"));
    assert_eq!(ask(&any, "POST", "/peerjs/id", &[origin]).await.status, 405);

    let listed = Origins::Listed(vec!["https://friend.example".into()]);
    let some = TestServer::with(|config| config.peerjs.origins = listed).await;
    assert_eq!(ask(&some, "GET", "/peerjs/id", &[origin]).await.header("access-control-allow-origin"), None);
    let path = "/peerjs?key=peerjs&id=a&token=t";
    let stranger = PeerJsClient::at(some.address(), path, &[("origin", "https://page.example")]).await;
    let Err(tungstenite::Error::Http(reply)) = stranger else { panic!("a stranger is let in") };
    let sentence = String::from_utf8_lossy(reply.body().as_deref().unwrap_or_default()).into_owned();
    assert_eq!(reply.status(), 403);
    assert!(sentence.contains("`peerjs.origins`"), "the list that was asked, not another: {sentence}");
    assert!(PeerJsClient::at(some.address(), path, &[("origin", "https://friend.example")]).await.is_ok());
}

#[tokio::test]
async fn discovery_tells_the_ids_of_one_key_if_it_is_allowed() {
    let server = TestServer::with(|config| {
        config.peerjs = PeerJsConfig {
            keys: vec!["peerjs".into(), "two".into()],
            allow_discovery: true,
            ..PeerJsConfig::default()
        };
    })
    .await;
    let _ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let _ben = PeerJsClient::open(server.address(), "ben", "t").await;
    let two = "/peerjs?key=two&id=cid%20%22&token=t";
    let mut cid = PeerJsClient::at(server.address(), two, &[]).await.expect("a socket");
    cid.next().await;
    let mut ids: Vec<String> =
        serde_json::from_value(json(&get(server.address(), "/peerjs/peers").await)).expect("a list");
    ids.sort();
    assert_eq!(ids, ["ann", "ben"]);
    assert_eq!(json(&get(server.address(), "/two/peers").await), json!(["cid \""]));
    let none = get(server.address(), "/three/peers").await;
    assert_eq!((none.status, none.body.as_str()), (401, "Unauthorized"));
    let mut connection = RawConnection::open(server.address()).await;
    let mut asked = 0;
    let reply = loop {
        let reply = connection.request("GET", "/peerjs/peers", &[], "").await;
        asked += 1;
        if reply.status != 200 || asked > 200 {
            break reply;
        }
    };
    assert_eq!(reply.status, 429, "lists have a limit");
    assert!(reply.header("retry-after").is_some());
}

/// A server with TURN, and what `/ice` answers there.
async fn relaying(change: impl FnOnce(&mut PeerJsConfig)) -> TestServer {
    TestServer::with(|config| {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.turn = TurnConfig { listen: TurnListen::At(vec![loopback]), ..TurnConfig::default() };
        change(&mut config.peerjs);
    })
    .await
}

async fn ice(server: &TestServer, query: &str, token: &str, origin: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    ask(server, "GET", &format!("/ice{query}"), &[("Authorization", &bearer), ("Origin", origin)]).await
}

#[tokio::test]
async fn a_page_that_the_operator_names_gets_credentials_while_its_peer_is_open() {
    let origin = "https://page.example";
    let server = relaying(|peerjs| {
        peerjs.origins = Origins::Listed(vec![origin.into()]);
        peerjs.keys.push("two".into());
    })
    .await;
    let ann = PeerJsClient::open(server.address(), "ann", "secret").await;
    let granted = ice(&server, "?peerjs=ann", "secret", origin).await;
    assert_eq!(granted.status, 200, "{granted:?}");
    assert_eq!(granted.header("access-control-allow-origin"), Some(origin));
    let user = |reply: &Reply| {
        let name = json(reply)["iceServers"][1]["username"].as_str().expect("a name").to_owned();
        name.split_once(':').expect("a user").1.to_owned()
    };
    assert_eq!(user(&granted), user(&ice(&server, "?peerjs=ann&key=peerjs", "secret", origin).await), "one quota");
    for (query, token, status) in [
        ("?peerjs=ann", "another", 401),
        ("?peerjs=ben", "secret", 401),
        ("?peerjs=ann&key=two", "secret", 401),
        ("?peerjs=ann&key=none", "secret", 401),
        ("?key=peerjs", "secret", 400),
        ("?peerjs=ann&user=x", "secret", 400),
        ("", "secret", 401),
    ] {
        assert_eq!(ice(&server, query, token, origin).await.status, status, "{query}");
    }
    ann.close(None).await;
    assert_eq!(ice(&server, "?peerjs=ann", "secret", origin).await.status, 401, "the socket is gone");
}

#[tokio::test]
async fn that_everybody_is_introduced_opens_no_relay() {
    let server = relaying(|_| {}).await;
    let _ann = PeerJsClient::open(server.address(), "ann", "secret").await;
    assert_eq!(ice(&server, "?peerjs=ann", "secret", "https://page.example").await.status, 403);
    let own = format!("http://{}", server.address());
    let host = server.address().to_string();
    let mut connection = RawConnection::open(server.address()).await;
    let request = format!(
        "GET /ice?peerjs=ann HTTP/1.1\r\nHost: {host}\r\nOrigin: {own}\r\nAuthorization: Bearer secret\r\n\r\n"
    );
    connection.write(request).await;
    assert_eq!(connection.reply().await.status, 200, "the server's own pages");
}

//! Pages of the server's own behind proxies that pass another host on.
#![allow(missing_docs)]

use switchboard_server::config::Origins;
use switchboard_testkit::{RawConnection, TestServer};

/// Every door that asks where a page comes from, with what it answers to who may come.
const DOORS: [(&str, u16); 6] = [
    ("/ws", 101),
    ("/socket.io/?EIO=4&transport=websocket", 101),
    ("/relay", 101),
    ("/matchbox/a", 101),
    ("/ice", 401),
    ("/socket.io/?EIO=4&transport=polling", 200),
];

async fn strict(trusting: bool) -> TestServer {
    TestServer::with(|config| {
        config.star.origins = Origins::Listed(Vec::new());
        config.relay.origins = Origins::Listed(Vec::new());
        config.matchbox.origins = Origins::Listed(Vec::new());
        config.peerjs.origins = Origins::Listed(Vec::new());
        if !trusting {
            config.trusted_proxies.clear();
        }
    })
    .await
}

/// Asks as a browser does through a proxy that has put its own `Host`.
async fn ask(server: &TestServer, door: &str, forwarded: Option<&str>) -> u16 {
    let mut headers = vec![
        ("Origin", "https://outer.example:8443"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    if !door.ends_with("polling") {
        headers.extend([("Connection", "Upgrade"), ("Upgrade", "websocket")]);
    }
    headers.extend(forwarded.map(|host| ("X-Forwarded-Host", host)));
    RawConnection::open(server.address()).await.request("GET", door, &headers, "").await.status
}

#[tokio::test]
async fn a_page_is_the_servers_own_if_a_trusted_proxy_was_asked_for_its_host() {
    let server = strict(true).await;
    for (door, status) in DOORS {
        assert_eq!(ask(&server, door, Some("outer.example:8443")).await, status, "{door}");
    }
    let peerjs = "/peerjs?key=peerjs&id=ann&token=t";
    assert_eq!(ask(&server, peerjs, Some("outer.example:8443")).await, 101);
}

#[tokio::test]
async fn without_that_word_or_from_a_stranger_it_is_refused() {
    let (trusting, strict) = (strict(true).await, strict(false).await);
    for (door, _) in DOORS {
        assert_eq!(ask(&trusting, door, None).await, 403, "{door}");
        assert_eq!(ask(&trusting, door, Some("other.example")).await, 403, "{door}");
        assert_eq!(ask(&strict, door, Some("outer.example:8443")).await, 403, "{door}");
    }
}

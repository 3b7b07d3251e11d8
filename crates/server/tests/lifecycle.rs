//! A server's own end, and its bounds as a whole.
#![allow(missing_docs)]

use std::time::Duration;

use switchboard_testkit::{Ended, EngineVersion, PollingClient, RoomsClient, SocketIoClient, TestServer, soon};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;

#[tokio::test]
async fn a_dropped_server_is_gone_with_everything() {
    let server = TestServer::spawn().await;
    let address = server.address();
    let mut ann = RoomsClient::join(address, "aUa62LD8NZ").await;
    let (mut sample, _) = PollingClient::connect(address).await;
    sample.begin_poll().await;
    drop(server);
    assert_eq!(ann.end().await, Ended::Broken);
    // The aborted tasks run to their end on this runtime.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_second_shutdown_waits_no_longer() {
    let server = TestServer::with(|config| {
        config.drain_timeout = Duration::from_secs(3600);
        config.limits.body_timeout = Duration::from_secs(3600);
    })
    .await;
    let address = server.address();
    // Holds a drain up for an hour.
    let (sample, _) = PollingClient::connect(address).await;
    let held = sample.begin_endless_post().await;
    let mut ann = RoomsClient::hello(address).await;
    server.server().shutdown();
    assert_eq!(ann.expect("goodbye").await["code"], "shutting-down");
    ann.close().await;
    assert!(TcpStream::connect(address).await.is_ok(), "the drain goes on");
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    drop(held);
}

#[tokio::test]
async fn a_shutdown_without_clients_is_immediate() {
    let server = TestServer::with(|config| config.drain_timeout = Duration::from_secs(3600)).await;
    soon("the end", server.stop()).await;
}

#[tokio::test]
async fn a_full_server_says_so_before_the_socket_opens() {
    let server = TestServer::with(|config| config.limits.connections = 2).await;
    let first = RoomsClient::connect_from(server.address(), &[("x-forwarded-for", "192.0.2.1")]).await;
    let second = RoomsClient::connect_from(server.address(), &[("x-forwarded-for", "192.0.2.2")]).await;
    assert!(first.is_ok() && second.is_ok());
    match RoomsClient::connect_from(server.address(), &[("x-forwarded-for", "192.0.2.3")]).await {
        Err(tungstenite::Error::Http(answer)) => {
            assert_eq!(answer.status(), 503);
            assert!(answer.headers().contains_key("retry-after"));
            let body = String::from_utf8(answer.into_body().expect("a body")).expect("text");
            assert!(body.starts_with("The server is full"), "{body}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_restart_only_closes_the_sockets_of_official_clients() {
    for version in [EngineVersion::V3, EngineVersion::V4] {
        let server = TestServer::spawn().await;
        let mut sample = SocketIoClient::connect(server.address(), version).await;
        server.server().shutdown();
        // A DISCONNECT before the end would keep them from reconnecting.
        assert_eq!(sample.packet_or_end().await, None, "{version:?}");
    }
}

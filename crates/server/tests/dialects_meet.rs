//! A Socket.IO client and a client of the rooms protocol in one room.
#![allow(missing_docs)]

use serde_json::json;
use switchboard_testkit::{EngineVersion, RoomsClient, SocketIoClient, TestServer};

#[tokio::test]
async fn each_dialect_sees_the_other_in_its_own_words() {
    for version in [EngineVersion::V3, EngineVersion::V4] {
        let server = TestServer::spawn().await;
        let mut sample = SocketIoClient::connect(server.address(), version).await;
        let room = sample.create_room().await;
        assert_eq!(room.len(), 10);

        let mut ann = RoomsClient::hello(server.address()).await;
        let joined = ann.enter(&room).await;
        let member = json!({"id": sample.id, "name": "", "dialect": "socket.io", "away": false});
        assert_eq!(joined["members"], json!([member]));
        assert_eq!(sample.event().await, json!(["new-user-joined", ann.id]));

        let offer = json!({"type": "offer", "sdp": "v=0\r\n"});
        sample.emit(json!(["rtc-offer", ann.id, offer])).await;
        assert_eq!(ann.next().await, json!({"type": "offer", "from": sample.id, "data": offer}));
        ann.send(&json!({"type": "answer", "to": sample.id, "data": {"type": "answer"}})).await;
        assert_eq!(sample.event().await, json!(["rtc-answer", ann.id, {"type": "answer"}]));
        ann.send(&json!({"type": "candidate", "to": sample.id, "data": {"candidate": ""}})).await;
        assert_eq!(sample.event().await, json!(["ice-candidate", ann.id, {"candidate": ""}]));

        let mut second = SocketIoClient::connect(server.address(), version).await;
        second.emit(json!(["join-room", room])).await;
        assert_eq!(ann.expect("peer-joined").await["peer"]["id"], second.id);
        assert_eq!(sample.event().await, json!(["new-user-joined", second.id]));
        second.vanish();
        assert_eq!(ann.expect("peer-left").await["reason"], "lost");
        assert_eq!(sample.event().await[0], "user-disconnected");
        let id = ann.id.clone();
        ann.close().await;
        assert_eq!(sample.event().await, json!(["user-disconnected", id]));
    }
}

#[tokio::test]
async fn joining_an_unknown_room_makes_one_under_another_id() {
    let server = TestServer::spawn().await;
    let mut sample = SocketIoClient::connect(server.address(), EngineVersion::V4).await;
    for argument in [json!("unknown-room"), json!(null), json!(7), json!("")] {
        sample.emit(json!(["join-room", argument])).await;
        let room = sample.room_created().await;
        assert_ne!(json!(room), argument);
    }
    sample.emit(json!(["join-room"])).await;
    sample.room_created().await;
}

#[tokio::test]
async fn unknown_targets_and_strangers_are_dropped_in_silence() {
    let server = TestServer::spawn().await;
    let mut sample = SocketIoClient::connect(server.address(), EngineVersion::V4).await;
    let mut stranger = SocketIoClient::connect(server.address(), EngineVersion::V4).await;
    sample.create_room().await;
    for target in [json!("nobody"), json!(stranger.id), json!(sample.id), json!(null)] {
        sample.emit(json!(["rtc-offer", target, {"sdp": 1}])).await;
    }
    sample.create_room().await;
    stranger.create_room().await;
}

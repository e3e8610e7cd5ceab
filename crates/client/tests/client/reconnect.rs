//! Lost connections, and coming back.

use std::time::{Duration, Instant};

use penholder_client::{
    Channel, ChannelEnd, ChannelEvent, ConnectError, Disconnect, Options, PushError, Reconnect,
    Socket,
};
use penholder_protocol::{ErrorCode, JoinPayload, JoinReply, Json, Mode, Since};

use crate::server::{Peer, Server, join_reply, json, within};

fn reconnecting() -> Options {
    Options { reconnect: Reconnect::Backoff, ..Options::default() }
}

async fn joined(server: &Server, reply: &JoinReply) -> (Socket, Channel, Peer) {
    let (socket, mut peer) = server.connect(reconnecting()).await;
    let payload = JoinPayload { mode: Some(Mode::View), ..JoinPayload::default() };
    let (joined, _) = tokio::join!(socket.join("doc:42", payload), peer.accept_join(reply));
    (socket, joined.unwrap().0, peer)
}

async fn next(channel: &mut Channel) -> ChannelEvent {
    within(channel.next_event()).await.expect("the channel has ended")
}

/// Accepts the next connection and the join on it; what that join said.
async fn rejoin(server: &Server, reply: &JoinReply) -> (Peer, JoinPayload) {
    let mut peer = server.accept().await;
    let join = peer.accept_join(reply).await;
    let payload = join.payload.as_json().unwrap().parse_into().unwrap();
    (peer, payload)
}

#[tokio::test]
async fn lost_channel_comes_back_as_the_same_session_where_it_stopped() {
    let server = Server::bind().await;
    let (_socket, mut channel, mut peer) = joined(&server, &join_reply(3, None)).await;
    peer.broadcast("doc:42", "comment_added", &json(r#"{"seq":4}"#)).await;
    assert!(matches!(next(&mut channel).await, ChannelEvent::Message { .. }));
    drop(peer);
    assert_eq!(next(&mut channel).await, ChannelEvent::Disconnected);

    let (mut peer, join) = rejoin(&server, &join_reply(9, Some(true))).await;
    assert_eq!(join.mode, Some(Mode::View));
    assert_eq!(join.resume.as_deref(), Some("resume-me"));
    assert_eq!(join.since, Some(Since::After(4)));
    assert!(matches!(next(&mut channel).await, ChannelEvent::Rejoined { .. }));

    // Lost again before the missed events came: it goes on from what it saw, not from the head.
    peer.broadcast("doc:42", "comment_added", &json(r#"{"seq":5}"#)).await;
    assert!(matches!(next(&mut channel).await, ChannelEvent::Message { .. }));
    drop(peer);
    let (_peer, join) = rejoin(&server, &join_reply(9, Some(false))).await;
    assert_eq!(join.since, Some(Since::After(5)));
}

#[tokio::test]
async fn what_cannot_be_recovered_starts_at_the_head() {
    let server = Server::bind().await;
    let (_socket, _channel, peer) = joined(&server, &join_reply(3, None)).await;
    drop(peer);
    let (peer, join) = rejoin(&server, &join_reply(9, Some(false))).await;
    assert_eq!(join.since, Some(Since::After(3)));
    drop(peer);
    let (_peer, join) = rejoin(&server, &join_reply(9, Some(true))).await;
    assert_eq!(join.since, Some(Since::After(9)));
}

#[tokio::test]
async fn pushes_work_after_coming_back_and_are_refused_before() {
    let server = Server::bind().await;
    let (_socket, mut channel, peer) = joined(&server, &join_reply(0, None)).await;
    peer.close(1012, r#"{"code":"restart","reconnect_after_ms":300}"#).await;
    assert_eq!(next(&mut channel).await, ChannelEvent::Disconnected);
    let lost_at = Instant::now();
    let meanwhile = channel.push("one", Json::empty_object()).await;
    assert_eq!(meanwhile, Err(PushError::Disconnected));

    let (mut peer, _) = rejoin(&server, &join_reply(0, None)).await;
    assert!(lost_at.elapsed() >= Duration::from_millis(250), "the server asked for a wait");
    assert!(matches!(next(&mut channel).await, ChannelEvent::Rejoined { .. }));
    let answer = async {
        let push = peer.expect("two").await;
        peer.reply(&push, &Json::empty_object()).await;
    };
    let (pushed, ()) = tokio::join!(channel.push("two", Json::empty_object()), answer);
    pushed.unwrap();
}

#[tokio::test]
async fn unavailable_server_is_tried_again() {
    let server = Server::bind().await;
    let (_socket, mut channel, peer) = joined(&server, &join_reply(0, None)).await;
    drop(peer);
    server.refuse(503, 0).await;
    let refused_at = Instant::now();
    server.refuse(429, 1).await;
    let (_peer, _) = rejoin(&server, &join_reply(0, None)).await;
    assert!(refused_at.elapsed() >= Duration::from_secs(1), "the server asked for a wait");
    assert_eq!(next(&mut channel).await, ChannelEvent::Disconnected);
    assert!(matches!(next(&mut channel).await, ChannelEvent::Rejoined { .. }));
}

#[tokio::test]
async fn refused_token_ends_the_socket() {
    let server = Server::bind().await;
    let (socket, _channel, peer) = joined(&server, &join_reply(0, None)).await;
    drop(peer);
    server.refuse(401, 7).await;
    let refused = ConnectError::Refused { status: 401, retry_after_s: Some(7) };
    assert_eq!(within(socket.closed()).await, Disconnect::NotReconnected(refused));
}

#[tokio::test]
async fn close_for_good_is_heeded() {
    for code in [4401, 4403, 4409] {
        let server = Server::bind().await;
        let (socket, _channel, peer) = joined(&server, &join_reply(0, None)).await;
        peer.close(code, "").await;
        let expected = Disconnect::Closed { number: code, reason: None };
        assert_eq!(within(socket.closed()).await, expected);
    }
}

#[tokio::test]
async fn refused_rejoin_ends_the_channel_but_not_the_socket() {
    let server = Server::bind().await;
    let (socket, mut channel, peer) = joined(&server, &join_reply(0, None)).await;
    drop(peer);
    let mut peer = server.accept().await;
    let join = peer.expect("phx_join").await;
    peer.refuse(&join, ErrorCode::NotAuthorized).await;
    assert_eq!(next(&mut channel).await, ChannelEvent::Disconnected);
    let refusal = ErrorCode::NotAuthorized.into();
    assert_eq!(next(&mut channel).await, ChannelEvent::Ended(ChannelEnd::Refused(refusal)));
    let reply = join_reply(0, None);
    let (again, _) =
        tokio::join!(socket.join("doc:43", JoinPayload::default()), peer.accept_join(&reply));
    again.unwrap();
}

#[tokio::test]
async fn abort_and_close_end_it_also_while_there_is_no_connection() {
    let server = Server::bind().await;
    let (socket, mut channel, peer) = joined(&server, &join_reply(0, None)).await;
    peer.close(1012, r#"{"code":"restart","reconnect_after_ms":60000}"#).await;
    assert_eq!(next(&mut channel).await, ChannelEvent::Disconnected);
    within(socket.abort()).await;
    assert_eq!(within(socket.closed()).await, Disconnect::Aborted);

    let (socket, mut channel, peer) = joined(&server, &join_reply(0, None)).await;
    peer.close(1012, r#"{"code":"restart","reconnect_after_ms":60000}"#).await;
    assert_eq!(next(&mut channel).await, ChannelEvent::Disconnected);
    within(socket.close()).await;
    let left = ChannelEvent::Ended(ChannelEnd::Disconnected(Disconnect::Left));
    assert_eq!(next(&mut channel).await, left);
}

#[tokio::test]
async fn dropped_channel_is_not_joined_again() {
    let server = Server::bind().await;
    let (socket, dropped, mut peer) = joined(&server, &join_reply(0, None)).await;
    let reply = join_reply(0, None);
    let (kept, _) =
        tokio::join!(socket.join("doc:43", JoinPayload::default()), peer.accept_join(&reply));
    let (mut kept, _) = kept.unwrap();
    peer.close(1012, r#"{"code":"restart","reconnect_after_ms":50}"#).await;
    drop(dropped);
    let mut peer = server.accept().await;
    // The older channel would be joined first.
    assert_eq!(peer.accept_join(&reply).await.topic, "doc:43");
    assert_eq!(next(&mut kept).await, ChannelEvent::Disconnected);
    assert!(matches!(next(&mut kept).await, ChannelEvent::Rejoined { .. }));
}

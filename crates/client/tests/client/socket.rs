//! Connections and channels against a scripted server.

use std::time::Duration;

use penholder_client::{
    Channel, ChannelEnd, ChannelEvent, ConnectError, Disconnect, Options, PushError, Socket,
};
use penholder_protocol::{
    Broadcast, CloseCode, ErrorCode, JoinPayload, Json, Payload, PresenceUpdate, Typing, Wire,
};
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::server::{Peer, Server, binary, join_reply, json, json_of, within};

async fn joined(options: Options) -> (Socket, Channel, Peer, penholder_protocol::ClientFrame) {
    let (socket, mut peer) = Server::bind().await.connect(options).await;
    let (channel, join) = join(&socket, &mut peer).await;
    (socket, channel, peer, join)
}

async fn join(socket: &Socket, peer: &mut Peer) -> (Channel, penholder_protocol::ClientFrame) {
    let reply = join_reply(0, None);
    let (joined, join) =
        tokio::join!(socket.join("doc:42", JoinPayload::default()), peer.accept_join(&reply));
    (joined.unwrap().0, join)
}

async fn next(channel: &mut Channel) -> ChannelEvent {
    within(channel.next_event()).await.expect("the channel has ended")
}

async fn next_name(channel: &mut Channel) -> String {
    match next(channel).await {
        ChannelEvent::Message { event, .. } => event,
        other => panic!("a message was wanted, not {other:?}"),
    }
}

async fn end_of(channel: &mut Channel) -> ChannelEnd {
    let ChannelEvent::Ended(end) = next(channel).await else { panic!("the end was wanted") };
    assert_eq!(within(channel.next_event()).await, None, "nothing follows the end");
    end
}

#[tokio::test]
async fn upgrade_carries_version_token_parameters_and_headers() {
    let options = Options {
        token: Some("abc.def".to_owned()),
        params: vec![("tab".to_owned(), "a b".to_owned())],
        headers: vec![("origin".to_owned(), "http://app".to_owned())],
        ..Options::default()
    };
    let (_socket, peer) = Server::bind().await.connect(options).await;
    assert_eq!(peer.request.uri().path(), "/socket/websocket");
    assert_eq!(peer.request.uri().query(), Some("vsn=2.0.0&tab=a%20b"));
    assert_eq!(peer.request.headers()["authorization"], "Bearer abc.def");
    assert_eq!(peer.request.headers()["origin"], "http://app");
}

#[tokio::test]
async fn refused_upgrade_tells_the_status() {
    let server = Server::bind().await;
    let endpoint = server.endpoint();
    let (refused, ()) =
        tokio::join!(Socket::connect(&endpoint, Options::default()), server.refuse(401, 7));
    let expected = ConnectError::Refused { status: 401, retry_after_s: Some(7) };
    assert_eq!(refused.unwrap_err(), expected);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let endpoint = Server::bind().await.endpoint();
    let error = within(Socket::connect(&endpoint, Options::default())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn join_uses_its_own_ref_and_reads_the_reply() {
    for wire in [Wire::V1, Wire::V2] {
        let options = Options { wire, ..Options::default() };
        let (_socket, channel, _peer, join) = joined(options).await;
        assert_eq!(join.topic, "doc:42");
        assert_eq!(join.join_ref, join.reference);
        assert_eq!(channel.topic(), "doc:42");
    }
}

#[tokio::test]
async fn refused_join_tells_the_code() {
    let (socket, mut peer) = Server::bind().await.connect(Options::default()).await;
    let refuse = async {
        let join = peer.expect("phx_join").await;
        peer.refuse(&join, ErrorCode::NotAuthorized).await;
    };
    let (refused, ()) = tokio::join!(socket.join("doc:42", JoinPayload::default()), refuse);
    assert_eq!(refused.unwrap_err().code(), Some("not_authorized"));
}

#[tokio::test]
async fn pushes_are_answered_each_by_its_own_reply() {
    let (_socket, channel, mut peer, join) = joined(Options::default()).await;
    let answer_backwards = async {
        let first = peer.frame().await;
        let second = peer.frame().await;
        assert_eq!(first.join_ref, join.join_ref);
        assert_ne!(first.reference, second.reference);
        for push in [second, first] {
            let name = push.event.clone();
            peer.reply(&push, &Json::of(&serde_json::json!({ "was": name }))).await;
        }
    };
    let (one, two, ()) = tokio::join!(
        channel.push("one", Json::empty_object()),
        channel.push("two", Json::empty_object()),
        answer_backwards
    );
    assert_eq!(json_of(&one.unwrap()), r#"{"was":"one"}"#);
    assert_eq!(json_of(&two.unwrap()), r#"{"was":"two"}"#);
}

#[tokio::test]
async fn conveniences_send_what_the_protocol_wants() {
    let (_socket, channel, mut peer, _) = joined(Options::default()).await;
    let serve = async {
        for (event, payload, response) in [
            ("presence_update", r#"{"unsaved":true}"#, r#"{"ref":"F1"}"#),
            ("typing", r#"{"on":true}"#, "{}"),
            ("broadcast", r#"{"event":"moved","payload":{"x":1}}"#, "{}"),
        ] {
            let push = peer.expect(event).await;
            assert_eq!(json_of(&push.payload), payload);
            peer.reply(&push, &json(response)).await;
        }
    };
    let push = async {
        let update = PresenceUpdate { unsaved: Some(true), ..PresenceUpdate::default() };
        let reply = channel.update_presence(&update).await.unwrap();
        assert_eq!(reply.reference.as_deref(), Some("F1"));
        channel.typing(Typing { on: true, audience: None }).await.unwrap();
        let event = "moved".to_owned();
        let moved = Broadcast { event, payload: json(r#"{"x":1}"#), to_self: None };
        channel.broadcast(&moved).await.unwrap();
    };
    tokio::join!(serve, push);
}

#[tokio::test]
async fn binary_goes_both_ways() {
    let (_socket, channel, mut peer, _) = joined(Options::default()).await;
    let serve = async {
        let push = peer.expect("broadcast:ink").await;
        assert_eq!(push.payload, binary(&[1, 2]));
        peer.reply_binary(&push, &[3]).await;
    };
    let (reply, ()) = tokio::join!(channel.push("broadcast:ink", binary(&[1, 2])), serve);
    assert_eq!(reply.unwrap(), binary(&[3]));
}

#[tokio::test]
async fn binary_over_v1_is_refused_here() {
    let options = Options { wire: Wire::V1, ..Options::default() };
    let (_socket, channel, _peer, _) = joined(options).await;
    let error = channel.push("ink", binary(&[1])).await.unwrap_err();
    assert!(matches!(error, PushError::Frame(_)), "{error}");
}

#[tokio::test]
async fn push_without_a_reply_times_out() {
    let options = Options { timeout: Duration::from_millis(50), ..Options::default() };
    let (_socket, channel, _peer, _) = joined(options).await;
    assert_eq!(channel.push("one", Json::empty_object()).await, Err(PushError::Timeout));
}

#[tokio::test]
async fn events_come_in_order_pushed_or_broadcast() {
    for wire in [Wire::V1, Wire::V2] {
        let options = Options { wire, ..Options::default() };
        let (_socket, mut channel, mut peer, join) = joined(options).await;
        peer.push(&join, "one", &Json::empty_object()).await;
        peer.broadcast("doc:42", "two", &json(r#"{"n":2}"#)).await;
        peer.broadcast("doc:43", "not ours", &Json::empty_object()).await;
        peer.broadcast("doc:42", "three", &Json::empty_object()).await;
        assert_eq!(next_name(&mut channel).await, "one");
        let ChannelEvent::Message { payload, .. } = next(&mut channel).await else { panic!() };
        assert_eq!(json_of(&payload), r#"{"n":2}"#);
        assert_eq!(next_name(&mut channel).await, "three");
        assert_eq!(channel.try_next_event(), None);
    }
}

#[tokio::test]
async fn channels_end_in_four_ways() {
    for wire in [Wire::V1, Wire::V2] {
        let options = || Options { wire, ..Options::default() };

        let (_socket, mut left, mut peer, join) = joined(options()).await;
        let serve = async {
            let leave = peer.expect("phx_leave").await;
            peer.reply(&leave, &Json::empty_object()).await;
            peer.end_channel(&join).await;
        };
        let (done, ()) = tokio::join!(left.leave(), serve);
        done.unwrap();
        assert_eq!(end_of(&mut left).await, ChannelEnd::Left);
        let after = left.push("one", Json::empty_object()).await;
        assert_eq!(after, Err(PushError::Ended));

        let (_socket, mut closed, mut peer, join) = joined(options()).await;
        peer.end_channel(&join).await;
        assert_eq!(end_of(&mut closed).await, ChannelEnd::Closed);

        let (_socket, mut crashed, mut peer, join) = joined(options()).await;
        peer.crash_channel(&join).await;
        assert_eq!(end_of(&mut crashed).await, ChannelEnd::Crashed);

        let (socket, mut disconnected, peer, _) = joined(options()).await;
        drop(peer);
        let why = within(socket.closed()).await;
        assert!(matches!(why, Disconnect::Lost { .. }), "{why}");
        assert_eq!(end_of(&mut disconnected).await, ChannelEnd::Disconnected(why));
    }
}

#[tokio::test]
async fn joining_anew_ends_the_older_channel_only() {
    let (socket, mut older, mut peer, old_join) = joined(Options::default()).await;
    let (mut newer, _) = join(&socket, &mut peer).await;
    peer.end_channel(&old_join).await;
    peer.broadcast("doc:42", "moved", &Json::empty_object()).await;
    assert_eq!(end_of(&mut older).await, ChannelEnd::Closed);
    assert_eq!(next_name(&mut newer).await, "moved");
}

#[tokio::test]
async fn channel_that_nobody_reads_overflows_and_is_left() {
    let options = Options { events_max: 2, ..Options::default() };
    let (_socket, mut channel, mut peer, _) = joined(options).await;
    for event in ["one", "two", "three", "four"] {
        peer.broadcast("doc:42", event, &Json::empty_object()).await;
    }
    peer.expect("phx_leave").await;
    assert_eq!(next_name(&mut channel).await, "one");
    assert_eq!(next_name(&mut channel).await, "two");
    assert_eq!(end_of(&mut channel).await, ChannelEnd::Overflow);
}

#[tokio::test]
async fn dropping_a_channel_leaves_its_topic() {
    let (_socket, channel, mut peer, join) = joined(Options::default()).await;
    drop(channel);
    let leave = peer.expect("phx_leave").await;
    assert_eq!(leave.join_ref, join.join_ref);
}

#[tokio::test]
async fn join_that_nobody_waits_for_is_left_again() {
    let options = Options { timeout: Duration::from_millis(50), ..Options::default() };
    let (socket, mut peer) = Server::bind().await.connect(options).await;
    let timed_out = socket.join("doc:42", JoinPayload::default()).await;
    assert_eq!(timed_out.unwrap_err(), PushError::Timeout);
    peer.accept_join(&join_reply(0, None)).await;
    peer.expect("phx_leave").await;
}

#[tokio::test]
async fn close_says_goodbye() {
    let (socket, mut channel, mut peer, _) = joined(Options::default()).await;
    let see_goodbye = async {
        let Some(WsMessage::Close(Some(frame))) = peer.message().await else { panic!() };
        assert_eq!(u16::from(frame.code), 1000);
        while peer.message().await.is_some() {}
    };
    tokio::join!(socket.close(), see_goodbye);
    assert_eq!(within(socket.closed()).await, Disconnect::Left);
    assert_eq!(end_of(&mut channel).await, ChannelEnd::Disconnected(Disconnect::Left));
    let after = socket.join("doc:42", JoinPayload::default()).await;
    assert_eq!(after.unwrap_err(), PushError::Disconnected);
}

#[tokio::test]
async fn abort_says_nothing() {
    let (socket, _channel, mut peer, _) = joined(Options::default()).await;
    within(socket.abort()).await;
    assert_eq!(within(socket.closed()).await, Disconnect::Aborted);
    assert_eq!(peer.message().await, None);
}

#[tokio::test]
async fn last_handle_gone_says_goodbye() {
    let (socket, channel, mut peer, _) = joined(Options::default()).await;
    drop(socket);
    drop(channel);
    peer.expect("phx_leave").await;
    assert!(matches!(peer.message().await, Some(WsMessage::Close(Some(_)))));
}

#[tokio::test]
async fn closing_by_the_server_tells_code_and_reason() {
    let (socket, _channel, peer, _) = joined(Options::default()).await;
    peer.close(4408, r#"{"code":"slow_consumer","reconnect_after_ms":9}"#).await;
    let why = within(socket.closed()).await;
    assert_eq!(why.close_code(), Some(CloseCode::SlowConsumer));
    let Disconnect::Closed { reason: Some(reason), .. } = why else { panic!("{why}") };
    assert_eq!(reason.reconnect_after_ms, Some(9));
}

#[tokio::test]
async fn heartbeats_are_sent_and_must_be_answered() {
    let options = Options { heartbeat: Duration::from_millis(30), ..Options::default() };
    let (socket, mut peer) = Server::bind().await.connect(options).await;
    for _ in 0..2 {
        let heartbeat = peer.expect("heartbeat").await;
        assert_eq!((&*heartbeat.topic, &heartbeat.join_ref), ("phoenix", &None));
        peer.reply(&heartbeat, &Json::empty_object()).await;
    }
    peer.expect("heartbeat").await;
    assert_eq!(within(socket.closed()).await, Disconnect::Silent);
}

#[tokio::test]
async fn malformed_frame_of_a_server_ends_the_connection() {
    let (socket, _channel, mut peer, _) = joined(Options::default()).await;
    peer.send_text("[]").await;
    let why = within(socket.closed()).await;
    assert!(matches!(why, Disconnect::Malformed { .. }), "{why}");
}

#[tokio::test]
async fn push_in_flight_fails_when_the_connection_does() {
    let (_socket, channel, mut peer, _) = joined(Options::default()).await;
    let lose = async {
        peer.expect("one").await;
        drop(peer);
    };
    let (push, ()) = tokio::join!(channel.push("one", Json::empty_object()), lose);
    assert_eq!(push, Err(PushError::Disconnected));
}

#[tokio::test]
async fn raw_join_takes_any_payload_and_reply() {
    let (socket, mut peer) = Server::bind().await.connect(Options::default()).await;
    let serve = async {
        let join = peer.expect("phx_join").await;
        assert_eq!(json_of(&join.payload), r#"{"topics":["doc:42"]}"#);
        peer.reply(&join, &json(r#"{"any":1}"#)).await;
    };
    let payload = json(r#"{"topics":["doc:42"]}"#);
    let (joined, ()) = tokio::join!(socket.join_raw("system:summaries", payload), serve);
    let (_channel, reply): (Channel, Payload) = joined.unwrap();
    assert_eq!(json_of(&reply), r#"{"any":1}"#);
}

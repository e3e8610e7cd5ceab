//! Pens against a scripted server.

use std::time::Duration;

use penholder_client::{
    Acquired, Attention, Channel, Options, Pen, PenLost, PenNews, PenTerms, Reconnect, Socket,
};
use penholder_protocol::{ClientFrame, ErrorCode, Fence, JoinPayload, Json, PenChange};
use serde_json::{Value, json};

use crate::server::{Peer, Server, join_reply, json_of, within};

/// The clock of the store, which has nothing to do with the client's.
const STORE: u64 = 1_700_000_000_000;
const TTL_MS: u64 = 1_500;

/// The pen in a session's hands, until so long after the store's beginning.
fn pen(fence: u64, session: &str, deadline: u64) -> Value {
    json!({"state": "held", "holder": {"id": session, "name": session, "kind": "human"},
        "session": session, "fence": fence.to_string(), "since": STORE,
        "deadline": STORE + deadline, "queue": []})
}

fn free(fence: u64) -> Value {
    json!({"state": "free", "holder": null, "session": null, "fence": fence.to_string(),
        "since": null, "deadline": null, "queue": []})
}

fn event(kind: &str, fence: u64, (at, pen): (u64, &Value)) -> Json {
    Json::of(
        &json!({"seq": 1, "type": kind, "rule": "free", "by": null, "fence": fence.to_string(),
        "at": STORE + at, "pen": pen}),
    )
}

struct Scene {
    _socket: Socket,
    channel: Channel,
    peer: Peer,
    join: ClientFrame,
}

impl Scene {
    async fn new() -> Scene {
        Scene::with(Options::default(), &Server::bind().await).await
    }

    async fn with(options: Options, server: &Server) -> Scene {
        let (socket, mut peer) = server.connect(options).await;
        let reply = join_reply(0, None);
        let (joined, join) =
            tokio::join!(socket.join("doc:42", JoinPayload::default()), peer.accept_join(&reply));
        Scene { _socket: socket, channel: joined.unwrap().0, peer, join }
    }

    /// A pen that was free, granted under fence 7.
    async fn hold(&mut self, terms: &PenTerms) -> Pen {
        let (channel, peer) = (&self.channel, &mut self.peer);
        let grant = async {
            let acquire = peer.expect("pen_acquire").await;
            let pen = pen(7, "s1", TTL_MS);
            peer.push(&self.join, "pen", &event("granted", 7, (0, &pen))).await;
            let reply = json!({"granted": true, "pen": pen, "receipt": "r0"});
            peer.reply(&acquire, &Json::of(&reply)).await;
        };
        let (acquired, ()) = tokio::join!(channel.acquire_pen(terms), grant);
        match acquired.unwrap() {
            Acquired::Granted(pen) => pen,
            Acquired::Held(pen) => panic!("{pen:?}"),
        }
    }

    async fn told(&mut self, kind: &str, fence: u64, (at, pen): (u64, &Value)) {
        self.peer.push(&self.join, "pen", &event(kind, fence, (at, pen))).await;
    }

    /// Answers the next renewal, and what comes before it.
    async fn renewed(&mut self, fence: u64, (at, deadline): (u64, u64)) {
        let renew = self.expect("pen_renew").await;
        assert_eq!(json_of(&renew.payload), format!(r#"{{"fence":"{fence}"}}"#));
        let pen = pen(fence, "s1", deadline);
        self.told("renewed", fence, (at, &pen)).await;
        self.reply(&renew, json!({"pen": pen, "receipt": "r1"})).await;
    }

    /// The next frame of this event; a program's input is answered on the way.
    async fn expect(&mut self, event: &str) -> ClientFrame {
        loop {
            let frame = self.peer.frame().await;
            if frame.event != "presence_update" || event == "presence_update" {
                assert_eq!(frame.event, event);
                return frame;
            }
            assert_eq!(json_of(&frame.payload), r#"{"input":true}"#);
            self.reply(&frame, json!({"ref": null})).await;
        }
    }

    async fn reply(&mut self, to: &ClientFrame, reply: Value) {
        self.peer.reply(to, &Json::of(&reply)).await;
    }
}

fn person() -> PenTerms {
    PenTerms { attention: Attention::Person, ..PenTerms::default() }
}

#[tokio::test]
async fn pen_is_renewed_by_itself_and_its_input_told() {
    let mut scene = Scene::new().await;
    let held = scene.hold(&PenTerms::default()).await;
    assert_eq!(held.fence(), Ok(Fence(7)));
    assert_eq!(held.receipt().unwrap().as_deref(), Some("r0"));
    let input = scene.expect("presence_update").await;
    scene.reply(&input, json!({"ref": null})).await;
    for round in 1..=4 {
        let at = round * TTL_MS / 3;
        scene.renewed(7, (at, at + TTL_MS)).await;
    }
    // It has lived for longer than a time to live.
    assert_eq!(held.fence(), Ok(Fence(7)));
    assert_eq!(held.receipt().unwrap().as_deref(), Some("r1"));
}

#[tokio::test]
async fn pen_of_a_person_tells_no_input_of_its_own() {
    let mut scene = Scene::new().await;
    let held = scene.hold(&person()).await;
    scene.peer.expect("pen_renew").await;
    let touch = async {
        let update = scene.peer.expect("presence_update").await;
        scene.peer.reply(&update, &Json::of(&json!({"ref": null}))).await;
    };
    let (touched, ()) = tokio::join!(held.touch(), touch);
    touched.unwrap();
}

#[tokio::test]
async fn pen_that_nobody_renews_is_lost_in_time() {
    let mut scene = Scene::new().await;
    let held = scene.hold(&person()).await;
    let start = tokio::time::Instant::now();
    assert_eq!(within(held.lost()).await, PenLost::Expired);
    let took = start.elapsed();
    assert!(took < Duration::from_millis(TTL_MS), "not later than the server: {took:?}");
    assert_eq!(held.fence(), Err(PenLost::Expired));
    assert_eq!(held.receipt(), Err(PenLost::Expired));
    assert_eq!(held.remaining(), Duration::ZERO);
    // The server had renewed it all the while, and says so now.
    let renew = scene.peer.expect("pen_renew").await;
    scene.reply(&renew, json!({"pen": pen(7, "s1", 4_000), "receipt": "r1"})).await;
    while held.fence().is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn end_that_was_heard_is_told_before_the_next_write() {
    for (kind, fence, after, change) in [
        ("revoked", 7, free(7), PenChange::Revoked),
        ("expired", 7, free(7), PenChange::Expired),
        ("taken_over", 8, pen(8, "s2", 5_000), PenChange::TakenOver),
    ] {
        let mut scene = Scene::new().await;
        let held = scene.hold(&person()).await;
        scene.told(kind, fence, (10, &after)).await;
        let lost = PenLost::Ended { kind: change, by: None };
        assert_eq!(within(held.lost()).await, lost);
        assert_eq!(held.fence(), Err(lost));
    }
}

#[tokio::test]
async fn refused_renewal_is_a_loss() {
    let mut scene = Scene::new().await;
    let held = scene.hold(&person()).await;
    let renew = scene.peer.expect("pen_renew").await;
    scene.peer.refuse(&renew, ErrorCode::LeaseLost).await;
    assert_eq!(within(held.lost()).await, PenLost::LeaseLost);
}

#[tokio::test]
async fn end_is_heard_while_a_renewal_waits() {
    let mut scene = Scene::new().await;
    let held = scene.hold(&person()).await;
    scene.peer.expect("pen_renew").await;
    scene.told("revoked", 7, (10, &free(7))).await;
    assert!(matches!(within(held.lost()).await, PenLost::Ended { .. }));
}

#[tokio::test]
async fn channel_that_ends_takes_its_pen_along() {
    let mut scene = Scene::new().await;
    let held = scene.hold(&person()).await;
    scene.peer.end_channel(&scene.join).await;
    assert_eq!(within(held.lost()).await, PenLost::ChannelEnded);
}

#[tokio::test]
async fn pen_is_given_back_once_by_a_release_or_a_drop() {
    let mut scene = Scene::new().await;
    let held = scene.hold(&person()).await;
    drop(held);
    let release = scene.expect("pen_release").await;
    assert_eq!(json_of(&release.payload), r#"{"fence":"7"}"#);
    scene.reply(&release, json!({"pen": free(7)})).await;

    let held = scene.hold(&person()).await;
    let answer = async {
        let release = scene.peer.expect("pen_release").await;
        scene.peer.reply(&release, &Json::of(&json!({"pen": free(7)}))).await;
    };
    let (released, ()) = tokio::join!(held.release(), answer);
    released.unwrap();
    // Nothing else came before this.
    let typing = async {
        let typing = scene.peer.expect("typing").await;
        scene.peer.reply(&typing, &Json::empty_object()).await;
    };
    let on = penholder_protocol::Typing { on: true, audience: None };
    let (said, ()) = tokio::join!(scene.channel.typing(on), typing);
    said.unwrap();
}

#[tokio::test]
async fn held_pen_is_told_and_not_waited_for() {
    let mut scene = Scene::new().await;
    let answer = async {
        let acquire = scene.peer.expect("pen_acquire").await;
        assert_eq!(json_of(&acquire.payload), r#"{"ttl_ms":2000,"reason":"a typo"}"#);
        let reply = json!({"granted": false, "pen": pen(3, "s2", 900), "place": null});
        scene.peer.reply(&acquire, &Json::of(&reply)).await;
    };
    let (ttl, reason) = (Some(Duration::from_secs(2)), Some("a typo".to_owned()));
    let terms = PenTerms { ttl, reason, ..PenTerms::default() };
    let (acquired, ()) = tokio::join!(scene.channel.acquire_pen(&terms), answer);
    let Acquired::Held(pen) = acquired.unwrap() else { panic!("it is held") };
    assert_eq!(pen.session.as_deref(), Some("s2"));
}

/// Waits with `get`, until the pen of `s2` is granted to `s1` by an event.
async fn wait(scene: &mut Scene, asked: (&str, Value)) -> Pen {
    let pusher = scene.channel.pusher();
    let event = asked.0.to_owned();
    let waiting = tokio::spawn(async move {
        match event.as_str() {
            "pen_acquire" => pusher.wait_for_pen(&person()).await,
            "pen_request" => pusher.request_pen(&person()).await,
            _ => pusher.take_over_pen(&person()).await,
        }
    });
    let ask = scene.expect(asked.0).await;
    scene.reply(&ask, asked.1).await;
    scene.told("granted", 4, (100, &pen(4, "s3", 2_000))).await;
    scene.told("granted", 5, (200, &pen(5, "s1", 2_000))).await;
    // How long it has been so is unknown: renewed before it is good for anything.
    scene.renewed(5, (300, 2_100)).await;
    within(waiting).await.unwrap().unwrap()
}

#[tokio::test]
async fn whoever_waits_gets_it_by_an_event_of_their_session() {
    let taken = pen(3, "s2", 900);
    for (event, reply) in [
        ("pen_acquire", json!({"granted": false, "pen": taken, "place": 1})),
        ("pen_request", json!({"pen": taken, "answer_by": STORE + 800})),
        ("pen_take_over", json!({"pen": taken, "draining_until": STORE + 800})),
    ] {
        let mut scene = Scene::new().await;
        let held = wait(&mut scene, (event, reply)).await;
        assert_eq!(held.fence(), Ok(Fence(5)), "{event}");
        assert_eq!(held.receipt().unwrap().as_deref(), Some("r1"));
    }
}

#[tokio::test]
async fn request_of_what_nobody_has_acquires_it() {
    let mut scene = Scene::new().await;
    let pusher = scene.channel.pusher();
    let waiting = tokio::spawn(async move { pusher.request_pen(&person()).await });
    let request = scene.expect("pen_request").await;
    scene.reply(&request, json!({"pen": free(3), "answer_by": null})).await;
    let acquire = scene.expect("pen_acquire").await;
    assert_eq!(json_of(&acquire.payload), r#"{"wait":true}"#);
    let pen = pen(4, "s1", TTL_MS);
    scene.told("granted", 4, (0, &pen)).await;
    scene.reply(&acquire, json!({"granted": true, "pen": pen, "receipt": "r"})).await;
    assert_eq!(within(waiting).await.unwrap().unwrap().fence(), Ok(Fence(4)));
}

#[tokio::test]
async fn holder_answers_those_who_ask() {
    let mut scene = Scene::new().await;
    let held = scene.hold(&person()).await;
    for (expected, to) in [
        (r#"{"fence":"7","answer":"hand_over","to":"bob"}"#, Some("bob")),
        (r#"{"fence":"7","answer":"decline","reason":"no"}"#, None),
    ] {
        let answer = async {
            let push = scene.peer.expect("pen_answer").await;
            assert_eq!(json_of(&push.payload), expected);
            scene.peer.reply(&push, &Json::of(&json!({"pen": pen(7, "s1", TTL_MS)}))).await;
        };
        let say = async {
            match to {
                Some(_) => held.hand_over(to).await,
                None => held.decline(Some("no")).await,
            }
        };
        let (said, ()) = tokio::join!(say, answer);
        said.unwrap();
    }
}

#[tokio::test]
async fn connection_that_is_lost_and_found_keeps_the_pen_or_tells_of_its_loss() {
    for (after, lost) in [(pen(7, "s1", 3_000), None), (free(7), Some(PenLost::LeaseLost))] {
        let server = Server::bind().await;
        let options = Options { reconnect: Reconnect::Backoff, ..Options::default() };
        let mut scene = Scene::with(options, &server).await;
        let held = scene.hold(&person()).await;
        let mut news = scene.channel.pen_events();
        drop(scene.peer);
        scene.peer = server.accept().await;
        let mut reply = join_reply(1, Some(true));
        reply.pen = Some(Json::of(&after));
        scene.join = scene.peer.accept_join(&reply).await;
        assert_eq!(within(news.next()).await, Some(PenNews::Disconnected));
        assert!(matches!(within(news.next()).await, Some(PenNews::Rejoined(Some(_)))));
        match lost {
            Some(lost) => assert_eq!(within(held.lost()).await, lost),
            None => {
                // At once, as the server may have let it run on.
                scene.renewed(7, (1_000, 4_000)).await;
                assert_eq!(held.fence(), Ok(Fence(7)));
            }
        }
    }
}

#[tokio::test]
async fn whoever_waits_asks_again_on_the_next_connection() {
    let server = Server::bind().await;
    let options = Options { reconnect: Reconnect::Backoff, ..Options::default() };
    let mut scene = Scene::with(options, &server).await;
    let pusher = scene.channel.pusher();
    let waiting = tokio::spawn(async move { pusher.wait_for_pen(&person()).await });
    let ask = scene.expect("pen_acquire").await;
    scene.reply(&ask, json!({"granted": false, "pen": pen(3, "s2", 900), "place": 1})).await;
    drop(scene.peer);
    scene.peer = server.accept().await;
    scene.join = scene.peer.accept_join(&join_reply(1, None)).await;
    let ask = scene.expect("pen_acquire").await;
    let pen = pen(4, "s1", TTL_MS);
    scene.told("granted", 4, (0, &pen)).await;
    scene.reply(&ask, json!({"granted": true, "pen": pen, "receipt": "r"})).await;
    assert_eq!(within(waiting).await.unwrap().unwrap().fence(), Ok(Fence(4)));
}

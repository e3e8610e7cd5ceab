//! One client: a socket, one topic, and what it has been told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, sleep_until};

use crate::dialect::{Incoming, Seat};
use crate::endpoint::Endpoint;
use crate::note::Note;
use crate::presence::{Change, KeyId, Names, Sort, Topic, View};
use crate::socket::{self, Part, Reader, Writer};
use crate::tally::Tally;

/// What npm `phoenix` waits before it connects again; the last repeats.
const RECONNECT_MS: [u64; 10] = [10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000];

/// What it waits before it joins again after a refusal or silence; the last repeats.
const REJOIN_MS: [u64; 4] = [1000, 2000, 5000, 10_000];

/// How long it waits for the answer to a join.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Who gets the published notes of a run.
pub(crate) trait Audience: Send + Sync {
    /// `listener` has got `note`, at `now_ns` since the start of the run.
    fn hear(&self, listener: u32, note: &Note, now_ns: u64);
}

/// Nobody publishes anything.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Audience for Nobody {
    fn hear(&self, _: u32, _: &Note, _: u64) {}
}

/// What the clients of one run share.
pub(crate) struct World {
    pub(crate) endpoint: Endpoint,
    pub(crate) started: Instant,
    pub(crate) tally: Tally,
    pub(crate) names: Names,
    pub(crate) audience: Arc<dyn Audience>,
    /// Whether clients join as soon as they can, or wait to be told.
    pub(crate) joins_at_once: bool,
    /// Whether clients that have lost their socket come back, as those of npm `phoenix` do. Else the
    /// loss of one is a failure.
    pub(crate) is_returning: AtomicBool,
}

/// One client.
pub(crate) struct Client {
    pub(crate) number: u32,
    pub(crate) topic: Arc<Topic>,
    user: String,
    key: KeyId,
    /// Counts its joins: the last one is the one that stands.
    join: AtomicU32,
    writer: tokio::sync::Mutex<Option<Writer>>,
    state: Mutex<State>,
}

/// What a client has been told.
#[derive(Debug, Default)]
struct State {
    is_ready: bool,
    is_joined: bool,
    is_listed: bool,
    is_whole: bool,
    has_list: bool,
    /// When it last got its list, and when that was whole.
    listed_ns: Option<u64>,
    whole_ns: Option<u64>,
    view: Arc<View>,
    /// How many people there are, where the list leaves some out.
    beyond: Option<usize>,
    resume: Option<String>,
    /// When to join again, as the answer is overdue or was a refusal.
    join_again_at: Option<tokio::time::Instant>,
    refusals: usize,
}

impl World {
    /// Nanoseconds since the start of the run.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn is_returning(&self) -> bool {
        self.is_returning.load(Ordering::Relaxed)
    }
}

impl Client {
    pub(crate) fn new(number: u32, topic: Arc<Topic>, names: &Names) -> Arc<Self> {
        let user = user(number);
        let key = names.key(&user);
        Arc::new(Self {
            number,
            topic,
            user,
            key,
            join: AtomicU32::new(0),
            writer: tokio::sync::Mutex::new(None),
            state: Mutex::default(),
        })
    }

    /// Asks to join the topic, and waits for no answer.
    pub(crate) async fn join(&self, world: &World) {
        self.join.fetch_add(1, Ordering::Relaxed);
        let resume = {
            let mut state = self.state.lock();
            state.join_again_at = Some(tokio::time::Instant::now() + JOIN_TIMEOUT);
            state.resume.clone()
        };
        let join = world.endpoint.dialect.join(self.seat(), resume.as_deref());
        self.say(&[join.as_bytes()]).await;
    }

    /// Leaves the topic, and waits for no answer.
    pub(crate) async fn leave(&self, world: &World) {
        let leave = world.endpoint.dialect.leave(self.seat());
        {
            let mut state = self.state.lock();
            state.forget_topic(&world.tally);
            state.resume = None;
        }
        // What is still on its way belongs to the join before, whose end is expected.
        self.join.fetch_add(1, Ordering::Relaxed);
        self.say(&[leave.as_bytes()]).await;
    }

    /// Publishes notes, in one write.
    pub(crate) async fn publish(&self, world: &World, notes: impl IntoIterator<Item = Note>) {
        let seat = self.seat();
        let frames = notes.into_iter().map(|note| world.endpoint.dialect.publish(seat, note));
        let frames: Vec<String> = frames.collect();
        let frames: Vec<&[u8]> = frames.iter().map(String::as_bytes).collect();
        self.say(&frames).await;
    }

    /// Sends the heartbeat of the dialect, if it has one.
    pub(crate) async fn beat(&self, world: &World) {
        if let Some(heartbeat) = world.endpoint.dialect.heartbeat() {
            self.say(&[heartbeat.as_bytes()]).await;
        }
    }

    /// Ends the connection as a power cut would.
    pub(crate) async fn drop_connection(&self) {
        self.writer.lock().await.take();
    }

    /// Whether the list shows exactly the people of `keys`, each once.
    pub(crate) fn shows_exactly(&self, keys: &[KeyId]) -> bool {
        self.state.lock().view.is_exactly(keys)
    }

    /// Whether the list of a crowd shows this client, and how many it says there are.
    pub(crate) fn crowd(&self) -> Option<usize> {
        let state = self.state.lock();
        state.beyond.filter(|_| state.view.shows(self.key))
    }

    /// When it got its list, since its last join, and when that was whole. Unit: nanoseconds since the start
    /// of the run.
    pub(crate) fn seen_ns(&self) -> (Option<u64>, Option<u64>) {
        let state = self.state.lock();
        (state.listed_ns, state.whole_ns)
    }

    pub(crate) fn key(&self) -> KeyId {
        self.key
    }

    fn seat(&self) -> Seat<'_> {
        let join = self.join.load(Ordering::Relaxed);
        Seat { topic: &self.topic.name, user: &self.user, join }
    }

    /// Sends messages in one write. When there is no connection they are lost, and the task that reads
    /// finds out why.
    async fn say(&self, messages: &[&[u8]]) {
        let mut frames = Vec::with_capacity(messages.iter().map(|message| message.len() + 8).sum());
        messages.iter().for_each(|message| socket::text(message, &mut frames));
        self.send(&frames).await;
    }

    async fn send(&self, frames: &[u8]) {
        if let Some(writer) = self.writer.lock().await.as_mut() {
            writer.send(frames).await.ok();
        }
    }
}

/// The name of a client.
pub(crate) fn user(number: u32) -> String {
    format!("u{number}")
}

/// Runs a client until its socket ends, or for ever if it comes back. `permit` is given back when it has
/// come in, so that not all come at once.
pub(crate) async fn live(
    client: Arc<Client>,
    world: Arc<World>,
    mut permit: Option<OwnedSemaphorePermit>,
) {
    let mut tries = 0;
    loop {
        let mut came_in = false;
        let end = match connect(&client, &world).await {
            Err(error) => format!("{error:#}"),
            Ok(reader) => {
                tries = 0;
                came_in = true;
                listen(&client, &world, reader, &mut permit).await
            }
        };
        client.drop_connection().await;
        client.state.lock().forget_socket(&world.tally);
        if !world.is_returning() {
            let what = if came_in { "lost" } else { "cannot connect" };
            world.tally.fail(format!("{what}: {end}"));
            return;
        }
        let wait = RECONNECT_MS[tries.min(RECONNECT_MS.len() - 1)];
        tries += 1;
        sleep(Duration::from_millis(wait)).await;
    }
}

async fn connect(client: &Client, world: &World) -> anyhow::Result<Reader> {
    world.tally.attempts.fetch_add(1, Ordering::Relaxed);
    let target = world.endpoint.target(&client.user)?;
    let (reader, writer) = socket::open(&world.endpoint.address, &target, client.number).await?;
    *client.writer.lock().await = Some(writer);
    Ok(reader)
}

/// Hears the server until the socket ends; returns why it did.
async fn listen(
    client: &Client,
    world: &World,
    mut reader: Reader,
    permit: &mut Option<OwnedSemaphorePermit>,
) -> String {
    if world.endpoint.dialect.is_ready_at_once() {
        client.state.lock().be_ready(&world.tally);
        if world.joins_at_once {
            client.join(world).await;
        }
    }
    let mut ear = Ear::new(client, world);
    loop {
        let again_at = {
            let state = client.state.lock();
            if state.is_joined || (state.is_ready && !world.joins_at_once) {
                *permit = None;
            }
            state.join_again_at.filter(|_| world.is_returning())
        };
        let again = async {
            match again_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            turn = ear.turn(&mut reader) => match turn {
                Ok(0) => return "the server closed the connection".to_owned(),
                Ok(_) => {}
                Err(error) => return format!("{error:#}"),
            },
            () = again => client.join(world).await,
        }
        if let Some(code) = ear.end {
            return format!("closed with {code}");
        }
        if std::mem::take(&mut ear.is_welcome) && world.joins_at_once {
            client.join(world).await;
        }
    }
}

/// Takes in what one client is told.
struct Ear<'a> {
    client: &'a Client,
    world: &'a World,
    answers: Vec<u8>,
    frames: u64,
    bytes: u64,
    /// Whether the server has just said that the client may join.
    is_welcome: bool,
    end: Option<u16>,
}

impl<'a> Ear<'a> {
    fn new(client: &'a Client, world: &'a World) -> Self {
        Self {
            client,
            world,
            answers: Vec::new(),
            frames: 0,
            bytes: 0,
            is_welcome: false,
            end: None,
        }
    }

    /// Takes in what has come, and answers what must be answered; returns how many bytes came.
    async fn turn(&mut self, reader: &mut Reader) -> anyhow::Result<usize> {
        let mut now = None;
        let world = self.world;
        let count = reader
            .turn(|part| {
                let now = *now.get_or_insert_with(|| world.now_ns());
                self.take(part, now);
            })
            .await?;
        let Tally { frames, bytes, .. } = &world.tally;
        frames.fetch_add(std::mem::take(&mut self.frames), Ordering::Relaxed);
        bytes.fetch_add(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        if !self.answers.is_empty() {
            self.client.send(&self.answers).await;
            self.answers.clear();
        }
        Ok(count)
    }

    fn take(&mut self, part: Part<'_>, now_ns: u64) {
        match part {
            Part::Ping(content) => socket::pong(content, &mut self.answers),
            Part::Close(code) => self.end = Some(code.unwrap_or(0)),
            Part::Text(message) => {
                let join = self.client.join.load(Ordering::Relaxed);
                let incoming = self.world.endpoint.dialect.read(message, join);
                if !incoming.is_sign_of_life() {
                    self.frames += 1;
                    self.bytes += message.len() as u64;
                }
                self.understand(incoming, now_ns);
            }
        }
    }

    fn understand(&mut self, incoming: Incoming<'_>, now_ns: u64) {
        let Self { client, world, .. } = self;
        match incoming {
            Incoming::Note(note) => world.audience.hear(client.number, &note, now_ns),
            Incoming::Answer(text) => socket::text(text.as_bytes(), &mut self.answers),
            Incoming::Ready => {
                self.is_welcome = true;
                client.state.lock().be_ready(&world.tally);
            }
            Incoming::Joined { resume } => {
                let mut state = client.state.lock();
                state.be_joined(resume, &world.tally);
                // Some servers send the list before the answer.
                state.notice(client, &world.tally, now_ns);
            }
            Incoming::Refused(_) if world.is_returning() => client.state.lock().be_refused(),
            Incoming::Refused(why) => world.tally.fail(format!("refused: {why}")),
            Incoming::Ended if world.is_returning() => client.state.lock().be_refused(),
            Incoming::Ended => world.tally.fail("the server closed a channel".to_owned()),
            Incoming::State(payload) => self.learn(Sort::State, payload, now_ns),
            Incoming::Diff(payload) => self.learn(Sort::Diff, payload, now_ns),
            Incoming::Summary(payload) => self.learn(Sort::Summary, payload, now_ns),
            Incoming::Alive | Incoming::Other => {}
        }
    }

    fn learn(&mut self, sort: Sort, payload: &[u8], now_ns: u64) {
        let Self { client, world, .. } = self;
        let change = client.topic.read(sort, payload, &world.names);
        let mut state = client.state.lock();
        match &*change {
            Change::State(view) => {
                state.view = Arc::clone(view);
                state.has_list = true;
            }
            Change::Diff { joins, leaves } => Arc::make_mut(&mut state.view).apply(joins, leaves),
            Change::Summary { count, is_full } => state.beyond = Some(*count).filter(|_| !is_full),
            Change::Unreadable(why) => world.tally.fail(why.clone()),
        }
        state.notice(client, &world.tally, now_ns);
    }
}

impl State {
    fn be_ready(&mut self, tally: &Tally) {
        self.is_ready = true;
        tally.ready.add(1);
    }

    fn be_joined(&mut self, resume: Option<String>, tally: &Tally) {
        self.join_again_at = None;
        self.refusals = 0;
        self.resume = resume;
        if !self.is_joined {
            self.is_joined = true;
            tally.joined.add(1);
        }
    }

    fn be_refused(&mut self) {
        let wait = REJOIN_MS[self.refusals.min(REJOIN_MS.len() - 1)];
        self.refusals += 1;
        let at = tokio::time::Instant::now() + Duration::from_millis(wait);
        self.join_again_at = Some(at);
    }

    /// Notices when the client has its list, and when it is whole: at first, and after each join.
    fn notice(&mut self, client: &Client, tally: &Tally, now_ns: u64) {
        let is_listed = self.has_list && self.is_joined && self.view.shows(client.key);
        if is_listed && !self.is_listed {
            self.is_listed = true;
            self.listed_ns = Some(now_ns);
            tally.listed.add(1);
        }
        let is_everybody = |people| people >= client.topic.seats;
        let is_whole = is_everybody(self.view.people()) || self.beyond.is_some_and(is_everybody);
        if is_listed && is_whole && !self.is_whole {
            self.is_whole = true;
            self.whole_ns = Some(now_ns);
            tally.whole.add(1);
        }
    }

    fn forget_topic(&mut self, tally: &Tally) {
        tally.joined.subtract(u64::from(std::mem::take(&mut self.is_joined)));
        tally.listed.subtract(u64::from(std::mem::take(&mut self.is_listed)));
        tally.whole.subtract(u64::from(std::mem::take(&mut self.is_whole)));
        self.has_list = false;
        (self.listed_ns, self.whole_ns) = (None, None);
        self.view = Arc::default();
        self.beyond = None;
        self.join_again_at = None;
    }

    fn forget_socket(&mut self, tally: &Tally) {
        tally.ready.subtract(u64::from(std::mem::take(&mut self.is_ready)));
        self.forget_topic(tally);
    }
}

//! Saves a document in PostgreSQL so that nobody who has lost the pen overwrites newer work:
//!
//! ```text
//! cargo run -p penholder-client --example protected_save -- doc:42 "by Ada" 20
//! ```
//!
//! It takes `DATABASE_URL` and `PENHOLDER_TOKEN` from the environment; docs/PENS.md, section 6, walks through it.
//! `--take-over` takes the pen from whoever has it. `--late` saves under the fence of the beginning, as a process
//! does that was stopped after it had looked. `--receipt` saves what a receipt proves, checked with the keys in the
//! file that `PENHOLDER_KEYS` names.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use penholder_client::{Channel, Options, Pen, PenTerms, Reconnect, Socket};
use penholder_protocol::{Fence, JoinPayload};
use serde::Deserialize;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep_until};

/// One statement: nothing can come between the comparison and the write.
const SAVE: &str = "UPDATE documents SET body = $1, fence = $2 WHERE id = $3 AND fence <= $2";

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<ExitCode> {
    let (flags, words): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|it| it.starts_with("--"));
    let is_set = |flag: &str| flags.iter().any(|other| other == flag);
    let [topic, text, rest @ ..] = &words[..] else {
        return Err(
            "usage: protected_save TOPIC TEXT [SECONDS] [--take-over] [--late] [--receipt]".into(),
        );
    };
    let seconds = rest.first().map_or(Ok(0), |seconds| seconds.parse())?;

    let mut database = PgConnection::connect(&env::var("DATABASE_URL")?).await?;
    let channel = join(topic).await?;
    let terms = PenTerms::default();
    let pen = match is_set("--take-over") {
        true => channel.take_over_pen(&terms).await?,
        false => channel.wait_for_pen(&terms).await?,
    };
    let first = pen.fence()?;
    println!("fence {first}: editing for {seconds} s");
    edit(&pen, Duration::from_secs(seconds)).await;

    let fence = match pen.fence() {
        _ if is_set("--late") => first,
        Ok(_) if is_set("--receipt") => check(&renewed(&pen).await?, topic)?,
        Ok(fence) => fence,
        Err(lost) => {
            println!("not saved: {lost}");
            return Ok(ExitCode::from(3));
        }
    };
    if save(&mut database, (topic, text), fence).await? {
        println!("saved under fence {fence}");
        pen.release().await.or_else(|error| if is_set("--late") { Ok(()) } else { Err(error) })?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("refused: fence {fence} is older than what has been saved");
    Ok(ExitCode::from(4))
}

async fn join(topic: &str) -> Outcome<Channel> {
    let endpoint = env::var("PENHOLDER_SOCKET");
    let endpoint = endpoint.unwrap_or_else(|_| "ws://127.0.0.1:4000/socket".to_owned());
    let token = Some(env::var("PENHOLDER_TOKEN")?);
    let options = Options { token, reconnect: Reconnect::Backoff, ..Options::default() };
    let socket = Socket::connect(&endpoint, options).await?;
    Ok(socket.join(topic, JoinPayload::default()).await?.0)
}

/// The person writes. A loss is told at once, so that they can keep their text.
async fn edit(pen: &Pen, span: Duration) {
    let end = Instant::now() + span;
    tokio::select! {
        lost = pen.lost() => {
            println!("stop writing: {lost}");
            sleep_until(end).await;
        }
        () = sleep_until(end) => {}
    }
}

/// Writes, unless a larger fence has written before.
async fn save(
    database: &mut PgConnection,
    (id, body): (&str, &str),
    fence: Fence,
) -> Outcome<bool> {
    let saved = sqlx::query(SAVE).bind(body).bind(i64::try_from(fence.0)?).bind(id);
    Ok(saved.execute(database).await?.rows_affected() == 1)
}

/// A receipt of the present moment: the one of the grant ends with the first deadline.
async fn renewed(pen: &Pen) -> Outcome<String> {
    pen.renew().await?;
    Ok(pen.receipt()?.ok_or("the server signs no receipts")?)
}

/// What a backend checks that gets a receipt with a save, and asks nobody: that the server has signed it, that it
/// is for this topic, and that it has not ended. Returns the fence that it proves.
fn check(receipt: &str, topic: &str) -> Outcome<Fence> {
    #[derive(Deserialize)]
    struct Claims {
        topic: String,
        fence: Fence,
    }
    let keys: JwkSet = serde_json::from_str(&fs::read_to_string(env::var("PENHOLDER_KEYS")?)?)?;
    let kid = decode_header(receipt)?.kid.ok_or("a receipt without a key")?;
    let key = keys.find(&kid).ok_or("the receipt is signed with a key that is not known")?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.leeway = 5;
    let claims: Claims = decode(receipt, &DecodingKey::from_jwk(key)?, &validation)?.claims;
    if claims.topic == topic { Ok(claims.fence) } else { Err("a receipt for another topic".into()) }
}

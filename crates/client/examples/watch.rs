//! Watches who is present on a topic, invisibly, through lost connections:
//!
//! ```text
//! cargo run -p penholder-client --example watch -- ws://127.0.0.1:4000/socket doc:42 TOKEN
//! ```

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;

use penholder_client::presence::Fold;
use penholder_client::{ChannelEvent, Options, Reconnect, Socket};
use penholder_protocol::{JoinPayload, PresenceMode};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(endpoint), Some(topic)) = (args.next(), args.next()) else {
        return Err("usage: watch ENDPOINT TOPIC [TOKEN]".into());
    };
    let options =
        Options { token: args.next(), reconnect: Reconnect::Backoff, ..Options::default() };
    let socket = Socket::connect(&endpoint, options).await?;
    let join = JoinPayload { presence: PresenceMode::Receive, ..JoinPayload::default() };
    let (mut channel, _) = socket.join(&topic, join).await?;

    let mut here = Fold::default();
    while let Some(event) = channel.next_event().await {
        match event {
            ChannelEvent::Message { event, payload } => here.apply(&event, &payload)?,
            ChannelEvent::Disconnected => println!("connection lost"),
            ChannelEvent::Rejoined { .. } => here.desync(),
            ChannelEvent::Ended(end) => println!("ended: {end:?}"),
        }
        println!("{}", here.keys().collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

//! `penholder-bare`: the least server that sends the frames of Penholder, to compare it with.
//!
//! One task a connection, a bounded queue, a frame encoded once and shared, changes of a topic gathered
//! for as long as Penholder gathers them. What it has not got is what the comparison is about: tokens and
//! limits, a presence set that replicas can share, sessions that outlive their connection, edit priority
//! and its summary. A client that is too slow is cut off, and one that is lost has left.

#![expect(clippy::print_stdout, reason = "a program talks to its terminal")]

mod connection;
mod room;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::net::TcpListener;

use crate::room::Rooms;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The least server that sends the frames of Penholder.
#[derive(Debug, Parser)]
#[command(name = "penholder-bare")]
struct Cli {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn main() -> Result<()> {
    let Cli { listen } = Cli::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("listen: {listen}"))?;
        println!("penholder-bare listening on http://{}", listener.local_addr()?);
        let rooms = Rooms::default();
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(connection::serve(stream, rooms.clone()));
        }
    })
}

//! A WebSocket without a library (RFC 6455): nothing is answered, masked or checked unless the test asks
//! for it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use crate::canary::Watch;
use crate::frame::{Frame, Opcode};
use crate::http::{Answer, Request};
use crate::wait::soon;

const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A socket in the hands of the test.
#[derive(Debug)]
pub struct RawSocket {
    stream: BufReader<TcpStream>,
    next_ref: u64,
    watch: Watch,
}

impl RawSocket {
    /// Connects to a server on the loopback address.
    ///
    /// # Errors
    ///
    /// The server does not upgrade.
    pub async fn open(port: u16, token: &str) -> Result<Self> {
        Self::open_on(TcpSocket::new_v4()?, port, token).await
    }

    /// Connects with a receive buffer of the kernel as small as it allows, as a bad line has.
    ///
    /// # Errors
    ///
    /// The server does not upgrade.
    pub async fn open_narrow(port: u16, token: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        Self::open_on(socket, port, token).await
    }

    async fn open_on(socket: TcpSocket, port: u16, token: &str) -> Result<Self> {
        let request = Request::websocket(&format!("/socket/websocket?vsn=2.0.0&token={token}"));
        match Self::handshake(socket, port, &request).await? {
            Ok(socket) => Ok(socket),
            Err(answer) => bail!("no upgrade: {answer}"),
        }
    }

    /// Connects with a request of the test's own; returns what was answered where there is no upgrade.
    ///
    /// # Errors
    ///
    /// The connection fails, or what comes back is no HTTP.
    pub async fn handshake(
        socket: TcpSocket,
        port: u16,
        request: &Request,
    ) -> Result<Result<Self, Answer>> {
        let stream = socket.connect(([127, 0, 0, 1], port).into()).await?;
        // What is sent in pieces shall arrive in pieces.
        stream.set_nodelay(true)?;
        let mut stream = BufReader::with_capacity(4096, stream);
        let request = request.to_bytes(port);
        stream.write_all(&request).await?;
        let (answer, watch) = (Answer::read(&mut stream).await?, Watch::of(port, &request));
        watch.look(answer.body.as_bytes())?;
        if answer.status == 101 {
            return Ok(Ok(Self { stream, next_ref: 1, watch }));
        }
        Ok(Err(answer))
    }

    /// Sends a whole text message.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn send(&mut self, text: &str) -> Result<()> {
        self.send_frame(Opcode::Text, text.as_bytes()).await
    }

    /// Sends one masked frame, which is a whole message.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn send_frame(&mut self, opcode: Opcode, payload: &[u8]) -> Result<()> {
        self.send_bytes(&Frame::new(opcode, payload).to_bytes()).await
    }

    /// Sends bytes as they are, a frame or not.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Sends an event of a joined topic and returns the reply, `{status, response}`.
    ///
    /// # Errors
    ///
    /// No reply comes.
    pub async fn ask(&mut self, topic: &str, event: &str, payload: &Value) -> Result<Value> {
        let reference = self.next_ref.to_string();
        self.next_ref += 1;
        let join_ref = (event == "phx_join").then_some(&reference);
        self.send(&json!([join_ref, reference, topic, event, payload]).to_string()).await?;
        let is_reply = |frame: &Value| frame[1] == *reference && frame[3] == "phx_reply";
        let mut frame = self.until(&format!("reply to {event} on {topic}"), is_reply).await?;
        if let ("token", "ok", Some(token)) =
            (event, frame[4]["status"].as_str().unwrap_or_default(), payload["token"].as_str())
        {
            // What is sent from now on is for whom that token describes.
            self.watch.take_token(token);
        }
        Ok(frame[4].take())
    }

    /// Joins a topic and returns the response.
    ///
    /// # Errors
    ///
    /// The join is refused.
    pub async fn join(&mut self, topic: &str) -> Result<Value> {
        self.join_with(topic, &json!({})).await
    }

    /// Joins a topic with a payload and returns the response.
    ///
    /// # Errors
    ///
    /// The join is refused.
    pub async fn join_with(&mut self, topic: &str, payload: &Value) -> Result<Value> {
        let mut reply = self.ask(topic, "phx_join", payload).await?;
        ensure!(reply["status"] == "ok", "join of {topic}: {reply}");
        Ok(reply["response"].take())
    }

    /// Sends frames as they are.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn send_all(&mut self, frames: &[Frame]) -> Result<()> {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::to_bytes).collect();
        self.send_bytes(&bytes).await
    }

    /// Reads messages, answering pings, up to the next text frame, and returns that. To lose the future loses the
    /// socket.
    ///
    /// # Errors
    ///
    /// The socket ends.
    pub async fn next_text(&mut self) -> Result<Value> {
        loop {
            let frame = self.read_answering().await?;
            match frame.opcode {
                Opcode::Close => bail!("closed: {:?}", close_of(&frame)),
                Opcode::Text => return Ok(serde_json::from_slice(&frame.payload)?),
                _ => {}
            }
        }
    }

    /// Reads messages, answering pings, until a text frame fits, and returns that.
    ///
    /// # Errors
    ///
    /// None fits in time, or the socket ends.
    pub async fn until(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        self.until_text(what, |_, value| fits(value)).await
    }

    /// The same for whoever looks at the bytes of the frames, too.
    ///
    /// # Errors
    ///
    /// As [`until`](Self::until).
    pub async fn until_text(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&[u8], &Value) -> bool,
    ) -> Result<Value> {
        soon(what, ANSWER_MAX, async {
            loop {
                let frame = self.read_answering().await?;
                if frame.opcode == Opcode::Close {
                    bail!("closed while waiting for {what}: {:?}", close_of(&frame));
                }
                if frame.opcode == Opcode::Text {
                    let value: Value = serde_json::from_slice(&frame.payload)?;
                    if fits(&frame.payload, &value) {
                        return Ok(value);
                    }
                }
            }
        })
        .await
    }

    /// Reads messages, answering pings, until an event comes, and returns its payload.
    ///
    /// # Errors
    ///
    /// As [`until`](Self::until).
    pub async fn event(&mut self, event: &str) -> Result<Value> {
        Ok(self.until(event, |frame| frame[3] == event).await?[4].take())
    }

    /// Reads up to the close frame and returns its code and the `code` of its reason.
    ///
    /// # Errors
    ///
    /// The socket ends without one, or not in time.
    pub async fn closed(&mut self, within: Duration) -> Result<(u16, String)> {
        soon("the server closes the socket", within, async {
            loop {
                let frame = self.read().await?;
                if frame.opcode == Opcode::Close {
                    return close_of(&frame).context("a close frame without a code");
                }
            }
        })
        .await
    }

    /// Answers pings up to the close frame and returns its code and its reason.
    ///
    /// # Errors
    ///
    /// The socket ends without one, or with a reason that is not JSON.
    pub async fn end(&mut self) -> Result<(u16, Value)> {
        loop {
            let frame = self.read_answering().await?;
            if frame.opcode == Opcode::Close {
                let (code, reason) =
                    frame.payload.split_first_chunk().context("a close frame without a code")?;
                return Ok((u16::from_be_bytes(*code), serde_json::from_slice(reason)?));
            }
        }
    }

    /// Waits until the server has ended the connection.
    ///
    /// # Errors
    ///
    /// Something else comes, or nothing does.
    pub async fn ended(&mut self, within: Duration) -> Result<()> {
        soon("the server ends the connection", within, async {
            match self.stream.read_u8().await {
                Ok(byte) => bail!("{byte:#x} came after the end"),
                // The end, in good order or not.
                Err(_) => Ok(()),
            }
        })
        .await
    }

    /// Reads one frame and answers nothing.
    ///
    /// # Errors
    ///
    /// The socket ends; or the frame has the [`CANARY`](crate::CANARY) in it, and the token that the socket goes by is
    /// not one of the staff's.
    pub async fn read(&mut self) -> Result<Frame> {
        let first = self.stream.read_u8().await?;
        ensure!(first & 0xf0 == 0x80, "a fragment, or a reserved bit: {first:#x}");
        let length = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short @ 0..126 => u64::from(short),
            masked => bail!("a server does not mask: {masked:#x}"),
        };
        let mut payload = vec![0; usize::try_from(length)?];
        self.stream.read_exact(&mut payload).await?;
        self.watch.look(&payload)?;
        Ok(Frame::new(Opcode::from_number(first & 0x0f), payload))
    }

    /// Answers pings and ignores everything else, until the socket ends.
    pub async fn idle(&mut self) {
        while self.read_answering().await.is_ok_and(|frame| frame.opcode != Opcode::Close) {}
    }

    async fn read_answering(&mut self) -> Result<Frame> {
        let frame = self.read().await?;
        if frame.opcode == Opcode::Ping {
            self.send_frame(Opcode::Pong, &frame.payload).await?;
        }
        Ok(frame)
    }
}

fn close_of(frame: &Frame) -> Option<(u16, String)> {
    let (code, reason) = frame.payload.split_first_chunk::<2>()?;
    let reason: Value = serde_json::from_slice(reason).unwrap_or(Value::Null);
    let name = reason["code"].as_str().unwrap_or_default().to_owned();
    Some((u16::from_be_bytes(*code), name))
}

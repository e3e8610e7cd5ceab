//! Frames put together from whatever pieces they come in.

use std::io::Cursor;

use anyhow::{Context, Result, ensure};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// What a server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A message of text, or one whose kind does not matter here.
    Text(&'a [u8]),
    /// To be answered with the same content.
    Ping(&'a [u8]),
    /// The end, with its code where it has one.
    Close(Option<u16>),
}

/// Bytes of a frame, and fragments of a message, that are not whole yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    fragments: Vec<u8>,
}

/// A larger buffer is given back once it is empty: ten thousand clients have one each.
const KEPT_BYTES_MAX: usize = 4 * 1024;

impl Inbox {
    /// Takes `bytes` and gives each part that is whole to `hear`.
    ///
    /// # Errors
    ///
    /// They are no frames of a server.
    pub(crate) fn feed(&mut self, bytes: &[u8], hear: &mut impl FnMut(Part<'_>)) -> Result<()> {
        let Self { bytes: kept, fragments } = self;
        if kept.is_empty() {
            let rest = split(bytes, fragments, hear)?;
            kept.extend_from_slice(rest);
            return Ok(());
        }
        kept.extend_from_slice(bytes);
        let used = kept.len() - split(kept, fragments, hear)?.len();
        kept.drain(..used);
        if kept.is_empty() && kept.capacity() > KEPT_BYTES_MAX {
            *kept = Vec::new();
        }
        Ok(())
    }
}

/// Gives each whole part to `hear`; returns the rest.
fn split<'a>(
    mut bytes: &'a [u8],
    fragments: &mut Vec<u8>,
    hear: &mut impl FnMut(Part<'_>),
) -> Result<&'a [u8]> {
    loop {
        let mut cursor = Cursor::new(bytes);
        let Some((header, length)) = FrameHeader::parse(&mut cursor)? else { return Ok(bytes) };
        ensure!(header.mask.is_none(), "a server must not mask");
        let start = usize::try_from(cursor.position())?;
        let end = start.checked_add(usize::try_from(length)?).context("an endless frame")?;
        let Some(content) = bytes.get(start..end) else { return Ok(bytes) };
        match header.opcode {
            OpCode::Control(Control::Ping) => hear(Part::Ping(content)),
            OpCode::Control(Control::Close) => {
                let code = content.first_chunk().map(|code| u16::from_be_bytes(*code));
                hear(Part::Close(code));
            }
            OpCode::Data(Data::Text | Data::Binary) if header.is_final => hear(Part::Text(content)),
            OpCode::Data(_) => {
                fragments.extend_from_slice(content);
                if header.is_final {
                    hear(Part::Text(fragments));
                    *fragments = Vec::new();
                }
            }
            OpCode::Control(_) => {}
        }
        bytes = &bytes[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `stream` in pieces of `size` bytes, and writes down what is heard.
    fn heard(stream: &[u8], size: usize) -> Vec<String> {
        let mut inbox = Inbox::default();
        let mut all = Vec::new();
        for piece in stream.chunks(size) {
            inbox.feed(piece, &mut |part| all.push(format!("{part:?}"))).unwrap();
        }
        assert!(inbox.bytes.is_empty() && inbox.fragments.is_empty());
        all
    }

    #[test]
    fn pieces_of_any_size_give_the_same_parts() {
        let mut stream = vec![0x01, 2, b'a', b'b', 0x89, 1, b'p', 0x80, 1, b'c'];
        stream.extend([0x81, 126, 1, 0]);
        stream.extend([b'x'; 256]);
        stream.extend([0x88, 2, 0x03, 0xf4]);
        let whole = heard(&stream, stream.len());
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0], format!("{:?}", Part::Ping(b"p")));
        assert_eq!(whole[1], format!("{:?}", Part::Text(b"abc")));
        assert_eq!(whole[3], format!("{:?}", Part::Close(Some(1012))));
        for size in [1, 2, 3, 7, 100] {
            assert_eq!(heard(&stream, size), whole);
        }
    }

    #[test]
    fn masked_and_unknown_frames_are_refused() {
        let mut inbox = Inbox::default();
        assert!(inbox.feed(&[0x81, 0x80, 0, 0, 0, 0], &mut |_| ()).is_err());
        assert!(Inbox::default().feed(&[0x83, 0], &mut |_| ()).is_err());
    }
}

//! Counts the fragments of messages as their bytes pass.
//!
//! Source: RFC 6455, section 5.2 (the head of a frame) and 5.4 (fragments; control frames may come
//! between them and are none).

use std::time::{Duration, Instant};

/// Most frames of one message.
const FRAGMENTS_MAX: u32 = 16;

/// How long a message may take from its first frame to its last.
const MESSAGE_MAX: Duration = Duration::from_secs(10);

/// Most bytes of a frame's head: two, the length in eight, the mask in four.
const HEAD_BYTES_MAX: usize = 14;

/// Where in the frames of a peer one is, and how many the present message has.
#[derive(Debug, Default)]
pub(super) struct FrameWatch {
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: u8,
    /// How many bytes of the present frame are still to come, once its head is whole.
    payload_left: u64,
    /// The message whose last frame has not come.
    unfinished: Option<Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    fragments: u32,
    since: Instant,
}

impl FrameWatch {
    /// Takes the next bytes of the peer; says whether its messages still are within their bounds.
    pub(super) fn allow(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let skipped = usize::try_from(self.payload_left).unwrap_or(usize::MAX);
                let skipped = skipped.min(bytes.len());
                self.payload_left -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[usize::from(self.head_bytes)] = byte;
            self.head_bytes += 1;
            bytes = rest;
            if self.is_head_whole() && !self.begin_frame(now) {
                return false;
            }
        }
        self.unfinished.as_ref().is_none_or(|message| now - message.since <= MESSAGE_MAX)
    }

    fn is_head_whole(&self) -> bool {
        let [_, second, ..] = self.head;
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        self.head_bytes >= 2 && usize::from(self.head_bytes) == 2 + length + mask
    }

    fn begin_frame(&mut self, now: Instant) -> bool {
        let [first, second, long @ ..] = self.head;
        let extended = |bytes: usize| {
            long[..bytes].iter().fold(0, |length, byte| length << 8 | u64::from(*byte))
        };
        self.payload_left = match second & 0x7f {
            126 => extended(2),
            127 => extended(8),
            short => short.into(),
        };
        self.head_bytes = 0;
        let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
        let is_control = opcode >= 0x8;
        if is_control {
            return true;
        }
        let Unfinished { fragments, since } =
            self.unfinished.take().unwrap_or(Unfinished { fragments: 0, since: now });
        let fragments = fragments + 1;
        if !is_last {
            self.unfinished = Some(Unfinished { fragments, since });
        }
        fragments <= FRAGMENTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u8 = 0x1;
    const CONTINUATION: u8 = 0x0;
    const PING: u8 = 0x9;

    fn frame(opcode: u8, is_last: bool, payload_bytes: usize) -> Vec<u8> {
        let mut frame = vec![opcode | if is_last { 0x80 } else { 0 }];
        match payload_bytes {
            0..126 => frame.push(0x80 | u8::try_from(payload_bytes).unwrap()),
            126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload_bytes).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((payload_bytes as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        // A payload full of what could be taken for heads.
        frame.extend(std::iter::repeat_n(0x01, payload_bytes));
        frame
    }

    fn message(fragments: usize, payload_bytes: usize) -> Vec<u8> {
        let of = |at: usize| {
            let opcode = if at == 0 { TEXT } else { CONTINUATION };
            frame(opcode, at + 1 == fragments, payload_bytes)
        };
        (0..fragments).flat_map(of).collect()
    }

    /// Feeds the bytes in pieces of a size.
    fn allow(bytes: &[u8], piece: usize) -> bool {
        let (mut watch, now) = (FrameWatch::default(), Instant::now());
        bytes.chunks(piece).all(|piece| watch.allow(piece, now))
    }

    #[test]
    fn sixteen_fragments_are_allowed_and_one_more_is_not_however_the_bytes_come() {
        for payload_bytes in [0, 1, 125, 126, 70_000] {
            let fine = [message(16, payload_bytes), message(1, payload_bytes)].concat().repeat(3);
            let over = [message(1, payload_bytes), message(17, payload_bytes)].concat();
            for piece in [1, 3, 4096, usize::MAX] {
                assert!(allow(&fine, piece), "{payload_bytes} in pieces of {piece}");
                assert!(!allow(&over, piece), "{payload_bytes} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn control_frames_between_fragments_do_not_count() {
        let mut bytes = frame(TEXT, false, 3);
        for _ in 0..15 {
            bytes.extend(frame(PING, true, 5));
            bytes.extend(frame(CONTINUATION, false, 0));
        }
        assert!(allow(&bytes, 7));
        bytes.extend(frame(CONTINUATION, true, 0));
        assert!(!allow(&bytes, 7));
    }

    #[test]
    fn a_message_that_takes_too_long_is_over_and_an_idle_socket_is_not() {
        let (mut watch, start) = (FrameWatch::default(), Instant::now());
        assert!(watch.allow(&message(2, 1), start));
        let later = start + MESSAGE_MAX * 2;
        assert!(watch.allow(&frame(TEXT, false, 1), later));
        assert!(watch.allow(&frame(PING, true, 0), later + MESSAGE_MAX));
        assert!(!watch.allow(&frame(PING, true, 0), later + MESSAGE_MAX * 2));
    }
}

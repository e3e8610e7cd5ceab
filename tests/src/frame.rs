//! WebSocket frames (RFC 6455, section 5), those too that no library would write.

/// Any key does: it hides nothing on a loopback connection.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with a fragmented message.
    Continuation,
    /// Text.
    Text,
    /// Bytes.
    Binary,
    /// The end.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
    /// One that RFC 6455 leaves for later, of which it has 3 to 7 and 11 to 15.
    Reserved(u8),
}

impl Opcode {
    fn number(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
            Self::Reserved(number) => number,
        }
    }

    pub(crate) fn from_number(number: u8) -> Self {
        let all =
            [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong];
        let known = all.into_iter().find(|opcode| opcode.number() == number);
        known.unwrap_or(Self::Reserved(number))
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub opcode: Opcode,
    /// What it holds.
    pub payload: Vec<u8>,
    is_last: bool,
    reserved: u8,
    is_masked: bool,
    announced: Option<u64>,
}

impl Frame {
    /// A whole message, or a control frame.
    #[must_use]
    pub fn new(opcode: Opcode, payload: impl Into<Vec<u8>>) -> Self {
        let payload = payload.into();
        Self { opcode, payload, is_last: true, reserved: 0, is_masked: true, announced: None }
    }

    /// A close frame.
    #[must_use]
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(Opcode::Close, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same as a part of a message that goes on.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.is_last = false;
        self
    }

    /// The same with reserved bits, of which there are three.
    #[must_use]
    pub fn reserved(mut self, bits: u8) -> Self {
        self.reserved = bits & 7;
        self
    }

    /// The same without a mask, as only a server may send it.
    #[must_use]
    pub fn unmasked(mut self) -> Self {
        self.is_masked = false;
        self
    }

    /// The same with a head that speaks of another length.
    #[must_use]
    pub fn announcing(mut self, length: u64) -> Self {
        self.announced = Some(length);
        self
    }

    /// Cuts a message into fragments of at most `size` bytes; at least one.
    #[must_use]
    pub fn fragments(opcode: Opcode, payload: &[u8], size: usize) -> Vec<Self> {
        let mut parts: Vec<&[u8]> = payload.chunks(size).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let last = parts.len() - 1;
        let fragment = |(at, part): (usize, &[u8])| {
            let opcode = if at == 0 { opcode } else { Opcode::Continuation };
            Self { is_last: at == last, ..Self::new(opcode, part) }
        };
        parts.into_iter().enumerate().map(fragment).collect()
    }

    /// The frame as it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let first = u8::from(self.is_last) << 7 | self.reserved << 4 | self.opcode.number();
        let mask = if self.is_masked { 0x80 } else { 0 };
        let length = self.announced.unwrap_or(self.payload.len() as u64);
        let mut bytes = head(first, mask, length);
        if self.is_masked {
            bytes.extend(MASK);
            let masked = self.payload.iter().zip(MASK.iter().cycle());
            bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }
}

/// The head of a frame; `mask` is the bit that says whether a key follows.
fn head(first: u8, mask: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => head.push(mask | short),
        (_, Ok(medium)) => {
            head.push(mask | 126);
            head.extend(medium.to_be_bytes());
        }
        _ => {
            head.push(mask | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_have_three_forms() {
        assert_eq!(head(0x81, 0x80, 125), [0x81, 0xfd]);
        assert_eq!(head(0x81, 0x80, 126), [0x81, 0xfe, 0, 126]);
        assert_eq!(head(0x81, 0, 65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn frames_are_as_wrong_as_they_are_asked_to_be() {
        let frame = Frame::new(Opcode::Text, "ab");
        assert_eq!(frame.to_bytes(), [0x81, 0x82, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2]);
        assert_eq!(frame.clone().unmasked().to_bytes(), [0x81, 2, b'a', b'b']);
        assert_eq!(frame.clone().unfinished().reserved(5).to_bytes()[0], 0x51);
        assert_eq!(frame.announcing(126).to_bytes()[..4], [0x81, 0xfe, 0, 126]);
        assert_eq!(Frame::new(Opcode::Reserved(11), []).to_bytes()[0], 0x8b);
    }

    #[test]
    fn fragments_make_up_the_message() {
        let heads: Vec<_> = Frame::fragments(Opcode::Text, b"abcde", 2)
            .iter()
            .map(|fragment| (fragment.to_bytes()[0], fragment.payload.clone()))
            .collect();
        let parts = [(0x01, b"ab".to_vec()), (0x00, b"cd".to_vec()), (0x80, b"e".to_vec())];
        assert_eq!(heads, parts);
        assert_eq!(Frame::fragments(Opcode::Text, b"", 2), [Frame::new(Opcode::Text, "")]);
    }
}

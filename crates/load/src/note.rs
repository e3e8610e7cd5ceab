//! What clients publish: small, with what is needed to see whether it arrives, in order, and when.

use serde::{Deserialize, Serialize};

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Where the sender counts how often it has arrived.
    #[serde(rename = "e")]
    pub(crate) slot: u32,
    /// Counts the messages of one sender, from 1.
    #[serde(rename = "n")]
    pub(crate) number: u32,
    /// The client that sent it.
    #[serde(rename = "s")]
    pub(crate) sender: u32,
    /// When it was sent, or should have been, since the start of the run. Unit: nanoseconds.
    #[serde(rename = "t")]
    pub(crate) sent_ns: u64,
}

impl Note {
    /// The JSON form; names in alphabetical order, as some servers sort them.
    pub(crate) fn to_json(self) -> String {
        let Self { slot, number, sender, sent_ns } = self;
        format!(r#"{{"e":{slot},"n":{number},"s":{sender},"t":{sent_ns}}}"#)
    }

    /// Reads the JSON form: fast as [`Self::to_json`] writes it, and any other spelling too.
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        Self::read_own(json).or_else(|| serde_json::from_slice(json).ok())
    }

    fn read_own(json: &[u8]) -> Option<Self> {
        let (slot, rest) = number(json.strip_prefix(br#"{"e":"#)?)?;
        let (count, rest) = number(rest.strip_prefix(br#","n":"#)?)?;
        let (sender, rest) = number(rest.strip_prefix(br#","s":"#)?)?;
        let (sent_ns, rest) = number(rest.strip_prefix(br#","t":"#)?)?;
        let small = |number: u64| u32::try_from(number).ok();
        let note =
            Self { slot: small(slot)?, number: small(count)?, sender: small(sender)?, sent_ns };
        (rest == b"}").then_some(note)
    }
}

fn number(digits: &[u8]) -> Option<(u64, &[u8])> {
    let length = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    let number = digits.iter().try_fold(0, add)?;
    (length > 0).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_spelling_and_others_are_read() {
        let note = Note { slot: 0, number: 7, sender: 4_294_967_295, sent_ns: u64::MAX };
        assert_eq!(Note::read_own(note.to_json().as_bytes()), Some(note));
        let sorted_differently = br#"{ "t": 5, "s": 1, "n": 2, "e": 3 }"#;
        let note = Note { slot: 3, number: 2, sender: 1, sent_ns: 5 };
        assert_eq!(Note::read_own(sorted_differently), None);
        assert_eq!(Note::read(sorted_differently), Some(note));
    }

    #[test]
    fn other_payloads_are_none() {
        let cases: [&[u8]; 5] = [
            b"{}",
            br#"{"e":,"n":1,"s":1,"t":1}"#,
            br#"{"e":1,"n":1,"s":1,"t":1}x"#,
            br#"{"e":4294967296,"n":1,"s":1,"t":1}"#,
            br#"{"e":1,"n":1,"s":1,"t":18446744073709551616}"#,
        ];
        for json in cases {
            assert_eq!(Note::read(json), None, "{}", String::from_utf8_lossy(json));
        }
    }
}

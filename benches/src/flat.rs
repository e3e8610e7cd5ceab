//! Presences as bytes with nothing shared and nothing left out: lengths of four bytes, numbers of eight.

use penholder_presence::{Key, SessionId, Topic};

use crate::people::Names;

/// One presence: by which operation, since when, and who and where.
pub type Item = (u64, u64, Names);

/// Writes presences one after the other.
#[must_use]
pub fn encode<'a>(items: impl Iterator<Item = (u64, u64, [&'a str; 3])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (counter, joined_at, names) in items {
        out.extend_from_slice(&counter.to_le_bytes());
        out.extend_from_slice(&joined_at.to_le_bytes());
        for name in names {
            let length = u32::try_from(name.len()).expect("a name is short");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(name.as_bytes());
        }
    }
    out
}

/// Reads what [`encode`] wrote; none when it is anything else.
#[must_use]
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let (counter, joined_at) = (number(&mut bytes)?, number(&mut bytes)?);
        let topic = Topic::from(name(&mut bytes)?);
        let key = Key::from(name(&mut bytes)?);
        let session = SessionId::from(name(&mut bytes)?);
        items.push((counter, joined_at, Names { topic, key, session }));
    }
    Some(items)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

fn name<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *bytes = rest;
    str::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::names;

    #[test]
    fn what_is_written_is_read() {
        let item = (7, 1_790_000_000_000, names(3, 5));
        let Names { topic, key, session } = &item.2;
        let bytes = encode(
            [(item.0, item.1, [topic.as_str(), key.as_str(), session.as_str()])].into_iter(),
        );
        assert_eq!(bytes.len(), 16 + 12 + 100);
        assert_eq!(decode(&bytes), Some(vec![item]));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
    }
}

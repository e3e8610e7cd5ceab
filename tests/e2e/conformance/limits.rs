//! Groups 9 and 10, as far as the bounds allow: 64 KiB and 16 fragments a message.

use penholder_tests::{Frame, Opcode};

use super::{Case, binary_message, message, text_of};

const MESSAGE_MAX: usize = 65_536;
const FRAGMENTS_MAX: usize = 16;

pub(super) fn cases() -> Vec<Case> {
    let largest = text_of(MESSAGE_MAX);
    let whole = message(&largest);
    let larger = message(&text_of(MESSAGE_MAX + 1));
    let data = vec![0xfe; MESSAGE_MAX - binary_message(&[]).len()];
    let binary = binary_message(&data);
    let fragments = |payload: &[u8], count: usize| {
        Frame::fragments(Opcode::Text, payload, payload.len().div_ceil(count))
    };
    let mut cases = vec![
        Case::new("9.1 the largest text").text(&largest),
        Case::new("9.1 a larger one").frame(&Frame::new(Opcode::Text, &*larger)).closed(1009),
        Case::new("9.2 the largest binary")
            .frame(&Frame::new(Opcode::Binary, &*binary))
            .relayed(&*data),
        Case::new("9.3 the largest text in as many fragments as there may be")
            .frames(&fragments(&whole, FRAGMENTS_MAX))
            .echoed(&largest),
        Case::new("9.3 a larger one in fragments").frames(&fragments(&larger, 8)).closed(1009),
        Case::new("9.3 one fragment more")
            .frames(&Frame::fragments(Opcode::Text, &message(&text_of(17 * 8)), 8))
            .closed(1009),
        Case::new("9.4 the largest binary in fragments")
            .frames(&Frame::fragments(Opcode::Binary, &binary, MESSAGE_MAX / 16))
            .relayed(&*data),
        Case::new("10.1 fragments of 1300 bytes, too many")
            .frames(&Frame::fragments(Opcode::Text, &whole, 1300))
            .closed(1009),
    ];
    for piece in [64, 128, 256, 512, 1024, 2048] {
        cases.push(Case::new(format!("9.5 in pieces of {piece}")).text(&largest).in_pieces(piece));
        let frame = Frame::new(Opcode::Binary, &*binary);
        let case = Case::new(format!("9.6 binary in pieces of {piece}")).frame(&frame);
        cases.push(case.relayed(&*data).in_pieces(piece));
    }
    let many = (0..40).fold(Case::new("9.7 one message after another"), |case, n| {
        case.text(&format!("{n}: {}", "*".repeat(1000)))
    });
    cases.push(many);
    for length in [65_537, 1 << 20, 1 << 40, u64::MAX >> 1] {
        let frame = Frame::new(Opcode::Text, "").announcing(length);
        cases.push(Case::new(format!("9 {length} bytes announced")).frame(&frame).closed(1009));
    }
    cases
}

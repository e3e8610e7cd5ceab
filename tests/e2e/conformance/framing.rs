//! Groups 1.1 and 1.2: whole messages, of each form of the length.

use penholder_tests::{Frame, Opcode};

use super::{Case, binary_message, text_of};

pub(super) fn cases() -> Vec<Case> {
    // What says nothing is no frame of our protocol: it is passed over, and the socket lives.
    let empty = Frame::new(Opcode::Text, "");
    let mut cases = vec![Case::new("1.1.1 empty text").frame(&empty).text("after")];
    for (number, bytes) in [(2, 125), (3, 126), (4, 127), (5, 128), (6, 65_535), (7, 65_536)] {
        cases.push(Case::new(format!("1.1.{number} text, {bytes}")).text(&text_of(bytes)));
        let data = vec![0xfe; bytes - binary_message(&[]).len()];
        let frame = Frame::new(Opcode::Binary, binary_message(&data));
        let binary = Case::new(format!("1.2.{number} binary, {bytes}")).frame(&frame);
        cases.push(binary.relayed(data));
    }
    let pieces = Case::new("1.1.8 text in pieces of 997").text(&text_of(65_536)).in_pieces(997);
    let single = Case::new("1.1.8 text in single bytes").text("*").in_pieces(1);
    cases.extend([pieces, single]);
    // The sender must use the shortest form of a length; a receiver need not mind another one.
    let long = Frame::new(Opcode::Ping, "").announcing(0).to_bytes();
    let [first, _, mask @ ..] = &long[..] else { return cases };
    let long = [&[*first, 0xfe, 0, 0], mask].concat();
    cases.push(
        Case::new("1 ping whose length takes more bytes than it needs").bytes(&long).ponged(""),
    );
    cases
}

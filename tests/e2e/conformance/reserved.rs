//! Group 3: reserved bits, which no extension has given a meaning.

use penholder_tests::{Frame, Opcode};

use super::{Case, message};

pub(super) fn cases() -> Vec<Case> {
    let text = Frame::new(Opcode::Text, message("a"));
    let mut cases = Vec::new();
    for bits in 1..8 {
        let name = |what: &str| format!("3.{bits} reserved bits {bits:03b}, {what}");
        let wrong = text.clone().reserved(bits);
        cases.push(Case::new(name("text")).frame(&wrong).closed(1002));
        let after = Case::new(name("after a good message")).text("good").frame(&wrong).ping("");
        cases.push(after.again_in_pieces(name("byte by byte"), 1).closed(1002));
        cases.push(after.closed(1002));
        for opcode in [Opcode::Binary, Opcode::Ping, Opcode::Pong, Opcode::Close] {
            let frame = Frame::new(opcode, "").reserved(bits);
            cases.push(Case::new(name(&format!("{opcode:?}"))).frame(&frame).closed(1002));
        }
        let [first, rest] = &Frame::fragments(Opcode::Text, &message("a"), 60)[..] else {
            continue;
        };
        let rest = rest.clone().reserved(bits);
        cases.push(Case::new(name("continuation")).frame(first).frame(&rest).closed(1002));
    }
    cases
}

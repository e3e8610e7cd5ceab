//! Group 4: opcodes that are left for later.

use penholder_tests::{Frame, Opcode};

use super::Case;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for number in (3..=7).chain(11..=15) {
        let group =
            if number < 8 { format!("4.1.{}", number - 2) } else { format!("4.2.{}", number - 10) };
        let frame = |payload: &str| Frame::new(Opcode::Reserved(number), payload);
        let name = |what: &str| format!("{group} opcode {number}, {what}");
        cases.push(Case::new(name("empty")).frame(&frame("")).closed(1002));
        cases.push(Case::new(name("with a payload")).frame(&frame("reserved")).closed(1002));
        let after = Case::new(name("after a message")).text("good").frame(&frame("")).ping("");
        cases.push(after.again_in_pieces(name("byte by byte"), 1).closed(1002));
        cases.push(after.closed(1002));
        let unfinished = Case::new(name("unfinished")).frame(&frame("").unfinished());
        cases.push(unfinished.closed(1002));
    }
    cases
}

//! Group 2: pings and pongs.

use penholder_tests::{Frame, Opcode};

use super::Case;

/// So many pings may come at once.
const PINGS_BURST: usize = 10;

pub(super) fn cases() -> Vec<Case> {
    let pong = |payload: &[u8]| Frame::new(Opcode::Pong, payload);
    let full = vec![0xfe; 125];
    let ten = |case: Case| (0..PINGS_BURST).fold(case, |case, n| case.ping(format!("ping {n}")));
    vec![
        Case::new("2.1 empty ping").ping(""),
        Case::new("2.2 ping with text").ping("Hello, world!"),
        Case::new("2.3 ping with bytes").ping([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]),
        Case::new("2.4 ping of 125 bytes").ping(full.clone()),
        Case::new("2.5 ping of 126 bytes")
            .frame(&Frame::new(Opcode::Ping, vec![0xfe; 126]))
            .closed(1002),
        Case::new("2.6 ping of 125 bytes, byte by byte").ping(full).in_pieces(1),
        Case::new("2.7 pong that nobody asked for, empty").frame(&pong(b"")).text("after"),
        Case::new("2.8 pong that nobody asked for").frame(&pong(b"unasked")).text("after"),
        Case::new("2.9 pong that nobody asked for, then a ping")
            .frame(&pong(b"unasked"))
            .ping("asked"),
        ten(Case::new("2.10 ten pings")),
        ten(Case::new("2.11 ten pings, byte by byte")).in_pieces(1),
        Case::new("2 pong of 126 bytes").frame(&pong(&[0; 126])).closed(1002),
    ]
}

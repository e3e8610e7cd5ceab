//! Group 5: messages in fragments, with control frames between them.

use penholder_tests::{Frame, Opcode};

use super::{Case, binary_message, message};

pub(super) fn cases() -> Vec<Case> {
    let text = "fragmented";
    let parts = |size| Frame::fragments(Opcode::Text, &message(text), size);
    let half = message(text).len().div_ceil(2);
    let [first, last] = &parts(half)[..] else { return Vec::new() };
    let continuation = |payload: &str| Frame::new(Opcode::Continuation, payload);
    let whole = Frame::new(Opcode::Text, message("whole"));
    let ping = Frame::new(Opcode::Ping, "ping");

    let mut cases = vec![
        Case::new("5.1 ping in two fragments")
            .frame(&ping.clone().unfinished())
            .frame(&continuation("ping"))
            .closed(1002),
        Case::new("5.2 pong in two fragments")
            .frame(&Frame::new(Opcode::Pong, "pong").unfinished())
            .frame(&continuation("pong"))
            .closed(1002),
        Case::new("5 close in two fragments")
            .frame(&Frame::close(1000, "").unfinished())
            .closed(1002),
        Case::new("5.3 two fragments").in_fragments(text, half),
        Case::new("5.6 two fragments around a ping")
            .frame(first)
            .ping("ping")
            .frame(last)
            .echoed(text),
        Case::new("5.9 continuation of nothing, last")
            .frame(&continuation("none"))
            .frame(&whole)
            .closed(1002),
        Case::new("5.12 continuation of nothing, not last")
            .frame(&continuation("none").unfinished())
            .frame(&whole)
            .closed(1002),
        Case::new("5.15 continuation after a whole message in two fragments")
            .in_fragments(text, half)
            .frame(&continuation("none").unfinished())
            .frame(&whole)
            .closed(1002),
        Case::new("5.16 continuation of nothing, text, continuation")
            .frame(&continuation("none").unfinished())
            .frame(first)
            .frame(last)
            .closed(1002),
        Case::new("5.18 another message before the first has ended")
            .frame(first)
            .frame(&whole)
            .closed(1002),
        Case::new("5.18 binary before a text has ended")
            .frame(first)
            .frame(&Frame::new(Opcode::Binary, binary_message(b"a")))
            .closed(1002),
        fragments_and_pings("5.19 five fragments and two pings"),
        fragments_and_pings("5.20 the same, byte by byte").in_pieces(1),
    ];
    let same = [(4, 5), (7, 8), (10, 11), (13, 14)];
    for (at, (one, two)) in [3, 4, 5, 6].into_iter().zip(same) {
        let (large, small) = (format!("5.{one} in pieces"), format!("5.{two} byte by byte"));
        let again = [cases[at].again_in_pieces(large, 13), cases[at].again_in_pieces(small, 1)];
        cases.extend(again);
    }
    let data = [0xff; 40];
    let bytes = Frame::fragments(Opcode::Binary, &binary_message(&data), 9);
    cases.push(Case::new("5 binary in fragments").frames(&bytes).relayed(data));
    cases.push(
        Case::new("5 empty fragments")
            .frame(&Frame::new(Opcode::Text, "").unfinished())
            .frame(&continuation("").unfinished())
            .frame(&Frame::new(Opcode::Continuation, message(text)).unfinished())
            .frame(&continuation(""))
            .echoed(text),
    );
    cases
}

fn fragments_and_pings(name: &str) -> Case {
    let whole = message("five fragments");
    let parts = Frame::fragments(Opcode::Text, &whole, whole.len().div_ceil(5));
    parts
        .iter()
        .enumerate()
        .fold(Case::new(name), |case, (at, part)| {
            let case = case.frame(part);
            if at == 1 || at == 3 { case.ping(format!("ping {at}")) } else { case }
        })
        .echoed("five fragments")
}

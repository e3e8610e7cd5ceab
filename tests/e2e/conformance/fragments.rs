//! Group 5: messages in fragments, with control frames between them.

use penholder_tests::{Frame, Opcode};

use super::{Case, binary_message, message};

const TEXT: &str = "fragmented";

fn continuation(payload: &str) -> Frame {
    Frame::new(Opcode::Continuation, payload)
}

/// The message in two fragments.
fn halves() -> Vec<Frame> {
    let whole = message(TEXT);
    Frame::fragments(Opcode::Text, &whole, whole.len().div_ceil(2))
}

pub(super) fn cases() -> Vec<Case> {
    [whole(), broken()].into_iter().flatten().collect()
}

/// The same at once, in pieces, and byte by byte; the suite counts them one by one.
fn however_it_comes(first: usize, name: &str, case: &Case) -> [Case; 3] {
    let again = |at: usize, bytes| {
        case.again_in_pieces(format!("5.{} {name}, {bytes} bytes at a time", first + at), bytes)
    };
    [again(0, usize::MAX), again(1, 13), again(2, 1)]
}

/// Messages that come back.
fn whole() -> Vec<Case> {
    let [first, last] = &halves()[..] else { return Vec::new() };
    let two = Case::new("two fragments").frame(first).frame(last).echoed(TEXT);
    let around = Case::new("around a ping").frame(first).ping("ping").frame(last).echoed(TEXT);
    let mut cases = Vec::from(however_it_comes(3, "two fragments", &two));
    cases.extend(however_it_comes(6, "two fragments around a ping", &around));

    let five = fragments_and_pings("5.19 five fragments and two pings");
    cases.push(five.again_in_pieces("5.20 the same, byte by byte", 1));
    cases.push(five);
    let data = [0xff; 40];
    let bytes = Frame::fragments(Opcode::Binary, &binary_message(&data), 9);
    cases.push(Case::new("5 binary in fragments").frames(&bytes).relayed(data));
    cases.push(
        Case::new("5 empty fragments")
            .frame(&Frame::new(Opcode::Text, "").unfinished())
            .frame(&continuation("").unfinished())
            .frame(&Frame::new(Opcode::Continuation, message(TEXT)).unfinished())
            .frame(&continuation(""))
            .echoed(TEXT),
    );
    cases
}

/// Fragments of control frames, and those that belong to nothing.
fn broken() -> Vec<Case> {
    let [first, last] = &halves()[..] else { return Vec::new() };
    let whole = Frame::new(Opcode::Text, message("whole"));
    let none = continuation("none");
    let mut cases = Vec::new();
    for (number, frame) in [
        ("5.1", Frame::new(Opcode::Ping, "ping")),
        ("5.2", Frame::new(Opcode::Pong, "pong")),
        ("5", Frame::close(1000, "")),
    ] {
        let case = Case::new(format!("{number} {:?} in two fragments", frame.opcode));
        cases.push(case.frame(&frame.unfinished()).frame(&continuation("ping")).closed(1002));
    }
    let last_of_none = Case::new("last").frame(&none).frame(&whole).closed(1002);
    cases.extend(however_it_comes(9, "continuation of nothing, last", &last_of_none));
    let none = none.unfinished();
    let part_of_none = Case::new("not last").frame(&none).frame(&whole).closed(1002);
    cases.extend(however_it_comes(12, "continuation of nothing, not last", &part_of_none));
    cases.extend([
        Case::new("5.15 continuation after a message in two fragments")
            .frames(&[first.clone(), last.clone()])
            .echoed(TEXT)
            .frames(&[none.clone(), whole.clone()])
            .closed(1002),
        Case::new("5.16 continuation of nothing, then a message in two fragments")
            .frames(&[none, first.clone(), last.clone()])
            .closed(1002),
        Case::new("5.18 another message before the first has ended")
            .frames(&[first.clone(), whole])
            .closed(1002),
        Case::new("5.18 binary before a text has ended")
            .frames(&[first.clone(), Frame::new(Opcode::Binary, binary_message(b"a"))])
            .closed(1002),
    ]);
    cases
}

fn fragments_and_pings(name: &str) -> Case {
    let whole = message("five fragments");
    let parts = Frame::fragments(Opcode::Text, &whole, whole.len().div_ceil(5));
    let case = parts.iter().enumerate().fold(Case::new(name), |case, (at, part)| {
        let case = case.frame(part);
        if at == 1 || at == 3 { case.ping(format!("ping {at}")) } else { case }
    });
    case.echoed("five fragments")
}

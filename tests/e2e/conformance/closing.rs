//! Group 7: close frames, and what comes after them.

use penholder_tests::{Frame, Opcode};

use super::{Case, message, text_of};

/// Codes that may be sent: 1000 by whoever says goodbye, the others for a reason.
const LEGAL: [u16; 15] =
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999];

/// Codes that must never be sent, or that nobody has defined.
const ILLEGAL: [u16; 13] =
    [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 10_000, 65_534, 65_535];

pub(super) fn cases() -> Vec<Case> {
    let goodbye = Frame::close(1000, "");
    let answer = goodbye.payload.clone();
    let text = Frame::new(Opcode::Text, message("late"));
    let whole = message("cut");
    let [first, last] = &Frame::fragments(Opcode::Text, &whole, whole.len().div_ceil(2))[..] else {
        return Vec::new();
    };
    let close = |payload: &[u8]| Frame::new(Opcode::Close, payload);
    let mut cases = vec![
        Case::new("7.1.1 message, then close").text("before"),
        Case::new("7.1.2 two closes").frame(&goodbye).frame(&goodbye).answered(answer.clone()),
        Case::new("7.1.3 ping after the close")
            .frame(&goodbye)
            .frame(&Frame::new(Opcode::Ping, "late"))
            .answered(answer.clone()),
        Case::new("7.1.4 text after the close")
            .frame(&goodbye)
            .frame(&text)
            .answered(answer.clone()),
        Case::new("7.1.5 close between two fragments")
            .frame(first)
            .frame(&goodbye)
            .frame(last)
            .answered(answer.clone()),
        Case::new("7.1.6 long text, close, ping")
            .text(&text_of(65_536))
            .frame(&goodbye)
            .frame(&Frame::new(Opcode::Ping, "late"))
            .answered(answer),
        Case::new("7.3.1 close without a code").close([]),
        Case::new("7.3.2 close with half a code").frame(&close(&[3])).closed(1002),
        Case::new("7.3.3 close with a code").close(Frame::close(1000, "").payload),
        Case::new("7.3.4 close with a reason").close(Frame::close(1000, "Hello World!").payload),
        Case::new("7.3.5 close with the longest reason")
            .close(Frame::close(1000, &"*".repeat(123)).payload),
        Case::new("7.3.6 close with too long a reason")
            .frame(&Frame::close(1000, &"*".repeat(124)))
            .closed(1002),
        Case::new("7.5.1 close with a reason that is no text")
            .frame(&close(b"\x03\xe8\xce\xba\xe1\xbd\xb9\xed\xa0\x80"))
            .closed(1007),
    ];
    for code in LEGAL {
        cases.push(Case::new(format!("7.7 code {code}")).close(Frame::close(code, "").payload));
        let reason = Frame::close(code, "κόσμε").payload;
        cases.push(Case::new(format!("7.7 code {code} with a reason")).close(reason));
    }
    for code in ILLEGAL {
        for reason in ["", "reason"] {
            let frame = Frame::close(code, reason);
            cases.push(Case::new(format!("7.9 code {code} {reason}")).frame(&frame).closed(1002));
        }
    }
    let unmasked = Frame::new(Opcode::Text, message("a")).unmasked();
    cases.push(Case::new("7 text without a mask").frame(&unmasked).closed(1002));
    let unmasked = Frame::close(1000, "").unmasked();
    cases.push(Case::new("7 close without a mask").frame(&unmasked).closed(1002));
    cases
}

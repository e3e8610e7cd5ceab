//! Group 6: text is UTF-8 (RFC 3629), wherever its bytes are cut.

use penholder_tests::{Frame, Opcode};

use super::{Case, message, message_around};

/// The text that the suite takes: characters of one, two and three bytes.
const TEXT: &str = "Hello-µ@ßöäüàá-UTF-8!!";

/// One of four bytes, and one that a surrogate would break.
const WIDE: &str = "κόσμε \u{1f600} \u{10ffff}";

/// Bytes that are no text, by the groups of the suite.
const INVALID: [(&str, &[u8]); 44] = [
    ("6.3 a surrogate among text", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited"),
    ("6.4 above the last code point", b"\xce\xba\xf4\x90\x80\x80edited"),
    ("6.6 cut off, two bytes", b"\xce"),
    ("6.6 cut off, three bytes", b"\xe1\xbd"),
    ("6.6 cut off, after good ones", b"\xce\xba\xe1"),
    ("6.8 first of five bytes", b"\xf8\x88\x80\x80\x80"),
    ("6.8 first of six bytes", b"\xfc\x84\x80\x80\x80\x80"),
    ("6.10 above the last, 0x110000", b"\xf4\x90\x80\x80"),
    ("6.10 0x1fffff", b"\xf7\xbf\xbf\xbf"),
    ("6.10 0x3ffffff", b"\xfb\xbf\xbf\xbf\xbf"),
    ("6.10 0x7fffffff", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
    ("6.11 surrogate d7ff + 1", b"\xed\xa0\x80"),
    ("6.12 continuation alone, 0x80", b"\x80"),
    ("6.12 continuation alone, 0xbf", b"\xbf"),
    ("6.12 continuations alone, two", b"\x80\xbf"),
    ("6.12 continuations alone, seven", b"\x80\xbf\x80\xbf\x80\xbf\x80"),
    ("6.13 first of two alone, 0xc0", b"\xc0 "),
    ("6.13 first of two alone, 0xdf", b"\xdf "),
    ("6.13 first of three alone", b"\xe0 \xef "),
    ("6.13 first of four alone", b"\xf0 \xf7 "),
    ("6.14 last byte missing of two", b"\xc0"),
    ("6.14 last byte missing of three", b"\xe0\x80"),
    ("6.14 last byte missing of four", b"\xf0\x80\x80"),
    ("6.14 last byte missing, 0xdf", b"\xdf"),
    ("6.14 last byte missing, 0xefbf", b"\xef\xbf"),
    ("6.14 last byte missing, 0xf7bfbf", b"\xf7\xbf\xbf"),
    ("6.15 cut off one after another", b"\xc0\xe0\x80\xf0\x80\x80\xdf\xef\xbf\xf7\xbf\xbf"),
    ("6.16 never a byte, 0xfe", b"\xfe"),
    ("6.16 never a byte, 0xff", b"\xff"),
    ("6.16 never bytes", b"\xfe\xfe\xff\xff"),
    ("6.17 overlong / in two", b"\xc0\xaf"),
    ("6.17 overlong / in three", b"\xe0\x80\xaf"),
    ("6.17 overlong / in four", b"\xf0\x80\x80\xaf"),
    ("6.18 overlong 0x7f", b"\xc1\xbf"),
    ("6.18 overlong 0x7ff", b"\xe0\x9f\xbf"),
    ("6.18 overlong 0xffff", b"\xf0\x8f\xbf\xbf"),
    ("6.19 overlong NUL in two", b"\xc0\x80"),
    ("6.19 overlong NUL in three", b"\xe0\x80\x80"),
    ("6.19 overlong NUL in four", b"\xf0\x80\x80\x80"),
    ("6.20 surrogate d800", b"\xed\xa0\x80"),
    ("6.20 surrogate dbff", b"\xed\xaf\xbf"),
    ("6.20 surrogate dfff", b"\xed\xbf\xbf"),
    ("6.21 surrogates in a pair", b"\xed\xa0\x80\xed\xb0\x80"),
    ("6.21 the last pair", b"\xed\xaf\xbf\xed\xbf\xbf"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("6.1.2 empty fragments")
            .frame(&Frame::new(Opcode::Text, "").unfinished())
            .frame(&Frame::new(Opcode::Continuation, message("")).unfinished())
            .frame(&Frame::new(Opcode::Continuation, ""))
            .echoed(""),
        Case::new("6.2.1 text").text(TEXT),
        Case::new("6.2.4 text, byte by byte").text(WIDE).in_pieces(1),
    ];
    for text in [TEXT, WIDE] {
        cases.extend(cut_everywhere(text));
    }
    for (name, bytes) in INVALID {
        let whole = message_around(bytes);
        let one = Case::new(name).frame(&Frame::new(Opcode::Text, whole.clone()));
        cases.push(one.again_in_pieces(format!("{name}, byte by byte"), 1).closed(1007));
        cases.push(one.closed(1007));
        let parts = Frame::fragments(Opcode::Text, &whole, whole.len().div_ceil(16));
        cases.push(Case::new(format!("{name}, in fragments")).frames(&parts).closed(1007));
        // What is wrong cannot be mended by what follows, so nobody waits for that.
        let begun = Frame::new(Opcode::Text, [bytes, b" "].concat()).unfinished();
        cases.push(Case::new(format!("{name}, and no more")).frame(&begun).closed(1007));
    }
    cases.push(
        Case::new("6 text that ends within a character")
            .frame(&Frame::new(Opcode::Text, &b"[\xe1\xbd"[..]))
            .closed(1007),
    );
    cases.extend(valid());
    cases
}

/// The message in two fragments, cut before each of its last bytes, which hold the text.
fn cut_everywhere(text: &str) -> Vec<Case> {
    let whole = message(text);
    let cut = |at: usize| {
        let (first, last) = whole.split_at(at);
        Case::new(format!("6.2.2 {text} cut at {at}"))
            .frame(&Frame::new(Opcode::Text, first).unfinished())
            .ping("between")
            .frame(&Frame::new(Opcode::Continuation, last))
            .echoed(text)
    };
    let around = message("").len() / 2;
    (around..whole.len()).map(cut).collect()
}

/// Characters at the edges of each range, those too that no character has been given to.
fn valid() -> Vec<Case> {
    [
        ("6.5 greek", "κόσμε"),
        ("6.7 first of each length", "\u{80}\u{800}\u{10000}"),
        ("6.9 last of each length", "\u{7f}\u{7ff}\u{ffff}\u{10ffff}"),
        ("6.11 around the surrogates", "\u{d7ff}\u{e000}\u{fffd}"),
        ("6.22 non-characters", "\u{fffe}\u{ffff}\u{1fffe}\u{1ffff}\u{8fffe}\u{10fffe}\u{fdd0}"),
        ("6.23 replacement and special characters", "\u{fff9}\u{fffa}\u{fffb}\u{fffc}\u{feff}"),
    ]
    .into_iter()
    .flat_map(|(name, text)| {
        let whole = Case::new(name).text(text);
        [whole.again_in_pieces(format!("{name}, byte by byte"), 1), whole]
    })
    .collect()
}

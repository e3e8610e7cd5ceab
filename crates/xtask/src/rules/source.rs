//! Rules that one source file keeps or breaks by itself.
//!
//! They read lines, not syntax: strings and `//` comments are left out, and what a rule would
//! still miss in a doc attribute or a macro is for the reviewer.

use std::path::Path;

use crate::typescript;

/// Lines of a file without its tests, at most.
const FILE_LINES_MAX: usize = 600;

/// Words that say nothing about the type they name.
const EMPTY_WORDS: [&str; 7] = ["Manager", "Helper", "Helpers", "Util", "Utils", "Common", "Misc"];

/// Words that say nothing as the last one: `TopicData` is anything, a `DataDirectory` is not.
const EMPTY_LAST_WORDS: [&str; 2] = ["Data", "Info"];

/// Modules that would be named for nothing that is in them.
const EMPTY_MODULES: [&str; 10] =
    ["manager", "helper", "helpers", "util", "utils", "common", "data", "info", "misc", "types"];

/// What is not committed, and why.
const RUST_FORBIDDEN: [(&str, &str); 3] = [
    ("#[ignore", "a test that does not run"),
    ("todo!", "unfinished work"),
    ("unimplemented!", "unfinished work"),
];
const SCRIPT_FORBIDDEN: [(&str, &str); 2] =
    [(".skip(", "a test that does not run"), (".only(", "hides the other tests")];

/// Returns whether the rules are for this file.
pub(super) fn is_checked(path: &Path) -> bool {
    let generated = path.ends_with(typescript::GENERATED);
    let extension = path.extension().and_then(|extension| extension.to_str());
    !generated && matches!(extension, Some("rs" | "ts" | "tsx" | "js" | "mjs"))
}

/// Returns what is wrong with a file, each with its place; `path` is relative to the root.
pub(super) fn violations(path: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    let rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");

    let lines = if is_test(path) { 0 } else { lines_without_tests(text) };
    if lines > FILE_LINES_MAX {
        violations.push(format!(
            "{path}: {lines} lines without tests, at most {FILE_LINES_MAX}: is there a second idea \
             in it that wants its own file?"
        ));
    }
    let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
    if EMPTY_MODULES.contains(&&*stem) {
        violations.push(format!("{path}: a module is named for its concept, not `{stem}`"));
    }
    let forbidden: &[_] = if rust { &RUST_FORBIDDEN } else { &SCRIPT_FORBIDDEN };
    for (index, line) in text.lines().enumerate() {
        let place = || format!("{path}:{}", index + 1);
        let code = code_of(line);
        for (pattern, why) in forbidden {
            if code.contains(pattern) {
                violations.push(format!("{}: `{pattern}` is {why}", place()));
            }
        }
        if let Some((name, word)) = declared_type(&code).and_then(|n| Some((n, empty_word(n)?))) {
            violations.push(format!("{}: `{word}` says nothing in `{name}`", place()));
        }
    }
    violations
}

/// Returns whether a whole file is test code. The harness in `tests/src` is not: it is a program.
fn is_test(path: &str) -> bool {
    let in_tests = path.split('/').any(|part| part == "tests") && !path.starts_with("tests/src/");
    in_tests || path.ends_with("/tests.rs") || path.contains(".test.")
}

/// Returns the number of lines before the test module, which is the last thing in a file.
fn lines_without_tests(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("mod tests {")).count()
}

/// Returns a line without its comment and without what is inside its strings.
fn code_of(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut in_string = false;
    // A quotation mark as a character opens no string.
    let line = line.replace("'\"'", "''");
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => {
                chars.next();
            }
            '"' => {
                in_string = !in_string;
                code.push(c);
            }
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            _ if in_string => {}
            _ => code.push(c),
        }
    }
    code
}

/// Returns the name of the type that a line declares.
///
/// An indented `type` is the answer to somebody else's trait, whose name is not ours.
fn declared_type(code: &str) -> Option<&str> {
    let mut words = code.split_whitespace().peekable();
    while words.next_if(|word| word.starts_with("pub") || is_modifier(word)).is_some() {}
    let declares = match words.next()? {
        "struct" | "enum" | "union" | "trait" | "interface" | "class" => true,
        "type" => !code.starts_with(char::is_whitespace),
        _ => false,
    };
    let name = words.next().filter(|_| declares)?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    Some(&name[..end])
}

fn is_modifier(word: &str) -> bool {
    matches!(word, "export" | "default" | "declare" | "abstract" | "unsafe")
}

/// Returns the word in a CamelCase name that says nothing.
fn empty_word(name: &str) -> Option<&'static str> {
    let has = |word: &&str| {
        let mut ends = name.match_indices(*word).map(|(start, _)| start + word.len());
        ends.any(|end| !name[end..].starts_with(char::is_lowercase))
    };
    let last = || EMPTY_LAST_WORDS.into_iter().find(|word| name.ends_with(word));
    EMPTY_WORDS.into_iter().find(has).or_else(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> bool {
        !violations(path, text).is_empty()
    }

    #[test]
    fn file_may_have_600_lines_and_no_more() {
        assert!(!broken("a/src/set.rs", &"\n".repeat(600)));
        assert!(broken("a/src/set.rs", &"\n".repeat(601)));
        assert!(broken("clients/js/src/App.tsx", &"\n".repeat(601)));
    }

    #[test]
    fn tests_do_not_count() {
        let text =
            format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(599), "\n".repeat(99));
        assert!(!broken("a/src/set.rs", &text));
        for path in ["a/tests/laws.rs", "a/src/set/tests.rs", "clients/js/test/store.test.ts"] {
            assert!(!broken(path, &"\n".repeat(601)), "{path}");
        }
        assert!(broken("tests/src/harness.rs", &"\n".repeat(601)));
    }

    #[test]
    fn unfinished_work_and_silent_tests_are_found() {
        let found = violations("a/src/set.rs", "#[test]\n#[ignore]\nfn f() { todo!() }\n");
        assert_eq!(
            found,
            [
                "a/src/set.rs:2: `#[ignore` is a test that does not run",
                "a/src/set.rs:3: `todo!` is unfinished work"
            ]
        );
        assert!(broken("a/src/set.rs", "    unimplemented!(\"later\")"));
        assert!(broken("a/test/b.test.ts", "test.skip('x', () => {})"));
        assert!(broken("a/test/b.test.ts", "describe.only('x', () => {})"));
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        assert!(!broken("a.rs", "// todo! and #[ignore]"));
        assert!(!broken("a.rs", "let s = \"todo! // \\\" todo!\";"));
        assert!(broken("a.rs", "b'\"' => todo!(),"));
        assert!(broken("a.rs", "let s = \"https://\"; todo!()"));
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        for line in [
            "pub(crate) struct SessionManager {",
            "enum HelperKind {",
            "    struct TopicInfo(u8);",
            "type Data = u8;",
            "pub trait Utils<T> {}",
            "export interface RoomData {",
        ] {
            assert!(broken("a.rs", line), "{line}");
        }
    }

    #[test]
    fn names_that_only_look_like_it_are_left_alone() {
        for line in [
            "struct Metadata;",
            "struct Database;",
            "struct Information;",
            "struct DataDirectory;",
            "fn data(info: Info) {}",
            "    type Data = Bytes;",
            "use http_body::Data;",
        ] {
            assert!(!broken("a.rs", line), "{line}");
        }
    }

    #[test]
    fn modules_are_named_for_their_concept() {
        assert!(broken("a/src/utils.rs", ""));
        assert!(broken("a/src/types.rs", ""));
        assert!(!broken("a/src/context.rs", ""));
    }

    #[test]
    fn generated_file_is_exempt() {
        assert!(!is_checked(Path::new("/x/clients/js/src/protocol.ts")));
        assert!(is_checked(Path::new("/x/clients/js/src/store.ts")));
        assert!(!is_checked(Path::new("/x/README.md")));
    }
}

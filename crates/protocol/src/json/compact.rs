//! Drops the white space between the tokens of a valid JSON text.

use super::WHITE_SPACE;

/// Appends `text`, which must be valid JSON, to `out` without the white space between tokens.
pub(crate) fn compact(text: &str, out: &mut String) {
    let mut in_string = false;
    let mut escaped = false;
    for character in text.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
        } else if WHITE_SPACE.contains(&character) {
            continue;
        } else {
            in_string = character == '"';
        }
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn space_goes_between_tokens_and_stays_within_strings() {
        let mut out = String::new();
        compact("{ \"a b\" :\t[1 ,\r\n \" \\\" \\\\\" , true ] }", &mut out);
        assert_eq!(out, r#"{"a b":[1," \" \\",true]}"#);
    }
}

//! Compact JSON as Python writes it, byte for byte: what version 1 signs.

use alloc::string::String;
use core::fmt::Write as _;

/// An object whose fields come in the order in which they are added.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self(String::from("{"))
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        quote(&mut self.0, value);
        self
    }

    pub(crate) fn number(mut self, name: &str, value: impl Into<i128>) -> Self {
        self.name(name);
        // Writing to a text cannot fail.
        let _ = write!(self.0, "{}", value.into());
        self
    }

    /// A field with a value that is JSON already.
    pub(crate) fn raw(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.0.push_str(value);
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        quote(&mut self.0, name);
        self.0.push(':');
    }
}

/// A text with its quotes; what is not visible ASCII is escaped (`json.dumps` with `ensure_ascii`).
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn texts_are_escaped_as_python_does() {
        let object = Object::new().text("a", "é\u{7f}\n\"\\/😀\u{0}").number("b", -40).raw("c", "[]").finish();
        assert_eq!(object, r#"{"a":"\u00e9\u007f\n\"\\/\ud83d\ude00\u0000","b":-40,"c":[]}"#);
        assert_eq!(Object::new().finish(), "{}");
    }

    proptest! {
        #[test]
        fn any_text_is_ascii_and_reads_back(text in any::<String>(), number in any::<i64>()) {
            let written = Object::new().text(&text, &text).number("n", number).finish();
            prop_assert!(written.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let read: Value = serde_json::from_str(&written).unwrap();
            if text != "n" {
                prop_assert_eq!(read[&text].as_str().unwrap(), text);
            }
            prop_assert_eq!(read["n"].as_i64(), Some(number));
        }
    }
}

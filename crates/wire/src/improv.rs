//! Improv Wi-Fi over a serial line: frames between lines of text, by which a device is told its Wi-Fi.
//!
//! A frame is `IMPROV`, the version, its type, its length, its data, and the low byte of the sum of all bytes before.

use alloc::{string::String, vec::Vec};

const MARK: &[u8] = b"IMPROV";
const VERSION: u8 = 1;
/// Bytes of a line of text; a longer one is broken.
const LINE: usize = 4096;
/// The command that tells a device its Wi-Fi.
const WIFI: u8 = 1;
/// The command that asks for its state.
const STATE: u8 = 2;

/// What came over the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A line of text, without its end.
    Line(String),
    /// How it stands.
    State(State),
    /// What is wrong; every command begins with [`Trouble::None`].
    Trouble(Trouble),
    /// The answer to a command: texts such as an address of a page.
    Answer(Vec<String>),
}

/// How a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Somebody must press something on it first.
    Locked,
    /// It waits for its Wi-Fi.
    Ready,
    /// It connects.
    Connecting,
    /// It is connected.
    Connected,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// It did not understand.
    Invalid,
    /// It has no such command.
    Unknown,
    /// It cannot connect to this Wi-Fi.
    CannotConnect,
    /// Somebody must press something on it first.
    Locked,
    /// Something else.
    Other,
}

/// A text that is too long for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a Wi-Fi has 1 to 32 bytes, its password at most 64")]
pub struct WifiError;

/// The frame that tells a device its Wi-Fi.
pub fn wifi(name: &str, password: &str) -> Result<Vec<u8>, WifiError> {
    let (Ok(first @ 1..=32), Ok(second @ 0..=64)) = (u8::try_from(name.len()), u8::try_from(password.len())) else {
        return Err(WifiError);
    };
    let mut data = Vec::from([WIFI, first + second + 2, first]);
    data.extend_from_slice(name.as_bytes());
    data.push(second);
    data.extend_from_slice(password.as_bytes());
    Ok(frame(3, &data))
}

/// The frame that asks how a device stands.
pub fn ask() -> Vec<u8> {
    frame(3, &[STATE, 0])
}

fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from(MARK);
    frame.extend_from_slice(&[VERSION, kind, u8::try_from(data.len()).unwrap_or(u8::MAX)]);
    frame.extend_from_slice(data);
    frame.push(sum(&frame));
    // Firmware that reads lines of text comes to itself again.
    frame.push(b'\n');
    frame
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Takes what comes over the line apart.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes bytes, and gives what is whole by now.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        for byte in bytes {
            self.bytes.push(*byte);
            if let Some(at) = self.bytes.windows(MARK.len()).position(|window| window == MARK) {
                self.line_before(at, &mut heard);
                match self.frame() {
                    Frame::Open => continue,
                    Frame::Whole(found) => {
                        heard.extend(found);
                        self.bytes.clear();
                    }
                    Frame::Broken => {}
                }
            }
            if *byte == b'\n' || self.bytes.len() >= LINE {
                let end = self.bytes.len();
                self.line_before(end, &mut heard);
            }
        }
        heard
    }

    /// What stands before a place is text.
    fn line_before(&mut self, at: usize, heard: &mut Vec<Heard>) {
        let line: Vec<u8> = self.bytes.drain(..at).collect();
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_matches(|letter: char| letter.is_control());
        if !text.is_empty() {
            heard.push(Heard::Line(text.into()));
        }
    }

    fn frame(&self) -> Frame {
        let Some([version, kind, length, rest @ ..]) = self.bytes.get(MARK.len()..) else { return Frame::Open };
        if *version != VERSION {
            return Frame::Broken;
        }
        let length = usize::from(*length);
        let (Some(data), Some(check)) = (rest.get(..length), rest.get(length)) else { return Frame::Open };
        let before = self.bytes.get(..MARK.len() + 3 + length).unwrap_or_default();
        if sum(before) == *check { Frame::Whole(said(*kind, data)) } else { Frame::Broken }
    }
}

enum Frame {
    /// More is to come.
    Open,
    /// It is whole; nothing when it is of a kind that says nothing to us.
    Whole(Option<Heard>),
    /// It is none: whatever it is, is text.
    Broken,
}

fn said(kind: u8, data: &[u8]) -> Option<Heard> {
    match (kind, data) {
        (1, [1, ..]) => Some(Heard::State(State::Locked)),
        (1, [2, ..]) => Some(Heard::State(State::Ready)),
        (1, [3, ..]) => Some(Heard::State(State::Connecting)),
        (1, [4, ..]) => Some(Heard::State(State::Connected)),
        (2, [error, ..]) => Some(Heard::Trouble(match error {
            0 => Trouble::None,
            1 => Trouble::Invalid,
            2 => Trouble::Unknown,
            3 => Trouble::CannotConnect,
            4 => Trouble::Locked,
            _ => Trouble::Other,
        })),
        (4, [_command, _length, rest @ ..]) => Some(Heard::Answer(texts(rest))),
        _ => None,
    }
}

fn texts(mut rest: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let [length, more @ ..] = rest {
        let Some((text, after)) = more.split_at_checked(usize::from(*length)) else { break };
        texts.push(String::from_utf8_lossy(text).into());
        rest = after;
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString as _, vec};
    use proptest::prelude::*;

    #[test]
    fn a_wifi_is_told_as_the_standard_has_it() {
        let frame = wifi("Lab", "pass").unwrap();
        let data = b"\x01\x09\x03Lab\x04pass";
        let mut expected = b"IMPROV\x01\x03\x0b".to_vec();
        expected.extend_from_slice(data);
        expected.push(expected.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
        expected.push(b'\n');
        assert_eq!(frame, expected);
        assert_eq!(wifi("", "x"), Err(WifiError));
        assert_eq!(wifi(&"x".repeat(33), ""), Err(WifiError));
        assert_eq!(wifi("x", &"y".repeat(65)), Err(WifiError));
    }

    #[test]
    fn frames_and_lines_are_told_apart() {
        let mut line = b"boot\r\n".to_vec();
        line.extend_from_slice(&frame(1, &[2]));
        line.extend_from_slice(b"Device ID: A1B2C3\r\npartial ");
        line.extend_from_slice(&frame(2, &[3]));
        line.extend_from_slice(&frame(4, &[1, 6, 5, b'h', b't', b't', b'p', b':']));
        line.extend_from_slice(b"IMPROV is a word here\n");
        let expected = vec![
            Heard::Line("boot".to_string()),
            Heard::State(State::Ready),
            Heard::Line("Device ID: A1B2C3".to_string()),
            Heard::Line("partial ".to_string()),
            Heard::Trouble(Trouble::CannotConnect),
            Heard::Answer(vec!["http:".to_string()]),
            Heard::Line("IMPROV is a word here".to_string()),
        ];
        assert_eq!(Reader::default().take(&line), expected);
        let mut reader = Reader::default();
        let one_by_one: Vec<Heard> = line.iter().flat_map(|byte| reader.take(&[*byte])).collect();
        assert_eq!(one_by_one, expected, "however it comes");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_and_memory_is_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let mut reader = Reader::default();
            reader.take(&bytes);
            prop_assert!(reader.bytes.len() <= LINE);
        }
    }
}

//! Bodies in pieces: `{"chunk_index","total_chunks","data"}` for what is too long for one write or one notification.

use super::request::Trouble;
use crate::Time;
use alloc::{format, string::String, vec::Vec};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use core::{num::NonZeroUsize, time::Duration};
use serde_json::Value;

/// Bytes of a body that travel in one piece, unless it is set otherwise.
pub const CHUNK: usize = 120;
/// The most that can be set: with base64 and its names a piece fills one write.
pub const MOST_CHUNK: usize = 348;
/// Pieces of a body.
pub const MOST_CHUNKS: usize = 64;
/// Bytes of a body.
pub const MOST_BODY: usize = 8 << 10;
/// Bytes of one write or notification: what an attribute holds (Bluetooth Core, volume 3, part F, 3.2.9).
pub const MOST_WRITE: usize = 512;
/// How long the pieces of a body may take.
pub const LIFE: Duration = Duration::from_secs(30);
/// How long a sender waits between two pieces.
pub const PAUSE: Duration = Duration::from_millis(30);

/// Padding is written, and not demanded.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// A body that would take more than 64 pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a body has at most {MOST_CHUNKS} pieces and {MOST_BODY} bytes")]
pub struct TooLong;

/// What to write for a body, in its order: itself when it fits into `chunk` bytes, or else its pieces.
///
/// ```
/// use doorward_wire::ble::framing::{CHUNK, split};
///
/// let chunk = CHUNK.try_into().unwrap();
/// assert_eq!(split(b"{}", chunk).unwrap().collect::<Vec<_>>(), ["{}"]);
/// assert_eq!(split(&[b' '; 121], chunk).unwrap().count(), 2);
/// ```
pub fn split(body: &[u8], chunk: NonZeroUsize) -> Result<impl Iterator<Item = String>, TooLong> {
    let total = body.len().div_ceil(chunk.get()).max(1);
    if total > MOST_CHUNKS || body.len() > MOST_BODY {
        return Err(TooLong);
    }
    Ok(body.chunks(chunk.get()).enumerate().map(move |(index, piece)| {
        if total == 1 {
            return String::from_utf8_lossy(piece).into();
        }
        // None of it needs an escape.
        format!(r#"{{"chunk_index":{index},"total_chunks":{total},"data":"{}"}}"#, BASE64.encode(piece))
    }))
}

/// The pieces of one device that is connected. Pieces come in any order and more than once.
///
/// It holds at most 64 pieces and 8 KiB. What is wrong with one piece throws all away, and the device begins anew.
#[derive(Debug, Default)]
pub struct Reassembly {
    pieces: Vec<Option<Vec<u8>>>,
    since: Time,
}

impl Reassembly {
    /// Takes a write, and gives the body that is whole by it: the write itself when it is no piece.
    ///
    /// Another number of pieces begins a new body, and so does a piece after 30 s. A piece that came before is replaced.
    pub fn take(&mut self, write: &[u8], now: Time) -> Result<Option<Vec<u8>>, Trouble> {
        let taken = self.try_take(write, now);
        if taken.is_err() {
            self.clear();
        }
        taken
    }

    /// Forgets what came, as when the device is gone.
    pub fn clear(&mut self) {
        self.pieces = Vec::new();
    }

    /// Whether pieces wait for others.
    pub fn waits(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Whether what waits is too old. A clock that was set back counts as too old, too.
    pub fn is_over(&self, now: Time) -> bool {
        self.waits() && (now.since(self.since) > LIFE || now < self.since)
    }

    fn try_take(&mut self, write: &[u8], now: Time) -> Result<Option<Vec<u8>>, Trouble> {
        if write.len() > MOST_WRITE {
            return Err(Trouble::InvalidRequest);
        }
        let read: Value = serde_json::from_slice(write).map_err(|_| Trouble::InvalidRequest)?;
        let Value::Object(fields) = &read else { return Err(Trouble::InvalidRequest) };
        if !fields.contains_key("chunk_index") {
            self.clear();
            return Ok(Some(write.into()));
        }
        let number = |name: &str| fields.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        let (Some(index), Some(total)) = (number("chunk_index"), number("total_chunks")) else { return Err(Trouble::InvalidChunk) };
        let data = fields.get("data").and_then(Value::as_str).and_then(|data| BASE64.decode(data).ok());
        let Some(data) = data.filter(|data| !data.is_empty()) else { return Err(Trouble::InvalidChunk) };
        if !(1..=MOST_CHUNKS).contains(&total) || index >= total {
            return Err(Trouble::InvalidChunk);
        }
        if self.pieces.len() != total || self.is_over(now) {
            self.pieces = Vec::new();
            self.pieces.resize(total, None);
            self.since = now;
        }
        if let Some(piece) = self.pieces.get_mut(index) {
            *piece = Some(data);
        }
        if self.pieces.iter().flatten().map(Vec::len).sum::<usize>() > MOST_BODY {
            return Err(Trouble::InvalidChunk);
        }
        if self.pieces.iter().any(Option::is_none) {
            return Ok(None);
        }
        let body = self.pieces.iter().flatten().flatten().copied().collect();
        self.clear();
        Ok(Some(body))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::vectors;
    use super::*;
    use alloc::vec;
    use proptest::{prelude::*, sample::Index};

    const CHUNKS: NonZeroUsize = NonZeroUsize::new(CHUNK).unwrap();

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn piece(index: u64, total: u64, data: &str) -> Vec<u8> {
        format!(r#"{{"chunk_index":{index},"total_chunks":{total},"data":"{data}"}}"#).into_bytes()
    }

    #[test]
    fn the_originals_pieces_are_made_and_read() {
        let gatt = &vectors()["gatt"];
        for (body, pieces) in [("request", "request_writes"), ("response", "response_notifications")] {
            let body = gatt[body].as_str().unwrap().as_bytes();
            let pieces: Vec<_> = gatt[pieces].as_array().unwrap().iter().map(|piece| piece.as_str().unwrap()).collect();
            assert_eq!(split(body, CHUNKS).unwrap().collect::<Vec<_>>(), pieces);
            let mut reassembly = Reassembly::default();
            let (last, before) = pieces.split_last().unwrap();
            assert!(before.iter().all(|piece| reassembly.take(piece.as_bytes(), at(0)) == Ok(None)));
            assert_eq!(reassembly.take(last.as_bytes(), at(0)).unwrap().unwrap(), body);
            assert!(!reassembly.waits());
        }
    }

    #[test]
    fn a_body_in_one_write_is_whole_by_itself() {
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.take(&piece(0, 2, "AAAA"), at(0)), Ok(None));
        assert_eq!(reassembly.take(b"{}", at(0)), Ok(Some(b"{}".to_vec())));
        assert!(!reassembly.waits(), "it takes the place of what waited");
    }

    #[test]
    fn a_thousand_pieces_are_not_begun() {
        let mut reassembly = Reassembly::default();
        for index in 0..1000 {
            assert_eq!(reassembly.take(&piece(index, 1000, "AAAA"), at(0)), Err(Trouble::InvalidChunk));
            assert!(!reassembly.waits());
        }
        let body = vec![b' '; MOST_BODY + 1];
        assert!(split(&body, NonZeroUsize::new(400).unwrap()).is_err());
        assert!(split(&body[..65 * CHUNK], CHUNKS).is_err());
        let full = split(&body[..MOST_BODY], NonZeroUsize::new(128).unwrap()).unwrap();
        assert_eq!(full.count(), MOST_CHUNKS);
    }

    #[test]
    fn the_longest_piece_fills_a_write() {
        let body = vec![b' '; 20 * MOST_CHUNK];
        let pieces = |chunk: usize| split(&body, chunk.try_into().unwrap()).unwrap().map(|piece| piece.len()).max().unwrap();
        assert!(pieces(MOST_CHUNK) <= MOST_WRITE);
        assert_eq!(MOST_WRITE - r#"{"chunk_index":63,"total_chunks":64,"data":""}"#.len() - MOST_CHUNK.div_ceil(3) * 4, 2);
    }

    #[test]
    fn a_body_is_bounded() {
        let mut reassembly = Reassembly::default();
        let data = BASE64.encode([0; 300]);
        let refused = (0..64).map(|index| reassembly.take(&piece(index, 64, &data), at(0))).position(|taken| taken.is_err());
        assert_eq!(refused, Some(MOST_BODY / 300));
        assert_eq!(reassembly.take(&[b' '; MOST_WRITE + 1], at(0)), Err(Trouble::InvalidRequest));
    }

    #[test]
    fn a_missing_piece_makes_no_body_and_is_waited_for_30_seconds() {
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.take(&piece(0, 3, "AAAA"), at(0)), Ok(None));
        assert_eq!(reassembly.take(&piece(2, 3, "AAAA"), at(30)), Ok(None));
        assert!(!reassembly.is_over(at(30)) && reassembly.is_over(at(31)) && reassembly.is_over(at(-1)));
        assert_eq!(reassembly.take(&piece(1, 3, "AAAA"), at(31)), Ok(None), "it begins a new body");
        assert!(!reassembly.is_over(at(60)));
    }

    #[test]
    fn another_number_of_pieces_begins_anew() {
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.take(&piece(0, 2, "AAAA"), at(0)), Ok(None));
        assert_eq!(reassembly.take(&piece(1, 3, "AAAA"), at(1)), Ok(None));
        assert_eq!(reassembly.take(&piece(1, 2, "AAAA"), at(2)), Ok(None));
        assert_eq!(reassembly.take(&piece(0, 2, "AAAA"), at(2)), Ok(Some(vec![0; 6])));
    }

    #[test]
    fn what_is_no_piece_is_told_so() {
        let chunk = [
            &piece(0, 0, "AAAA")[..],
            &piece(2, 2, "AAAA"),
            &piece(0, 2, ""),
            &piece(0, 2, "A*"),
            br#"{"chunk_index":-1,"total_chunks":2,"data":"AAAA"}"#,
            br#"{"chunk_index":0.0,"total_chunks":2,"data":"AAAA"}"#,
            br#"{"chunk_index":"0","total_chunks":2,"data":"AAAA"}"#,
            br#"{"chunk_index":0,"total_chunks":2}"#,
            br#"{"chunk_index":0,"total_chunks":2,"data":7}"#,
        ];
        for wrong in chunk {
            assert_eq!(Reassembly::default().take(wrong, at(0)), Err(Trouble::InvalidChunk), "{}", String::from_utf8_lossy(wrong));
        }
        for wrong in [&b""[..], b"[]", b"7", b"{", b"\xff", &[b'['; 512]] {
            assert_eq!(Reassembly::default().take(wrong, at(0)), Err(Trouble::InvalidRequest));
        }
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_and_twice_make_the_body(
            text in "[ -~]{1,2000}",
            chunk in 40usize..200,
            moves in proptest::collection::vec(any::<(Index, Index)>(), 0..40),
            twice in any::<Index>(),
        ) {
            let body = format!("{{{text}").into_bytes();
            let mut pieces: Vec<_> = split(&body, chunk.try_into().unwrap()).unwrap().collect();
            prop_assume!(pieces.len() > 1);
            for (from, to) in moves {
                let (from, to) = (from.index(pieces.len()), to.index(pieces.len()));
                pieces.swap(from, to);
            }
            let again = pieces[twice.index(pieces.len() - 1)].clone();
            let last = pieces.len() - 1;
            pieces.insert(last, again);
            let mut reassembly = Reassembly::default();
            let (last, before) = pieces.split_last().unwrap();
            for piece in before {
                prop_assert_eq!(reassembly.take(piece.as_bytes(), at(0)), Ok(None));
            }
            prop_assert_eq!(reassembly.take(last.as_bytes(), at(0)), Ok(Some(body)));
        }

        #[test]
        fn any_writes_are_read_without_panic(writes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..5)) {
            let mut reassembly = Reassembly::default();
            for write in writes {
                let _ = reassembly.take(&write, at(0));
            }
        }
    }
}

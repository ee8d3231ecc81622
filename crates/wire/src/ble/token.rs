//! The token that a phone shows: sixteen bytes that change every few seconds, which only who has the session's key can make.

use crate::Time;
use alloc::{borrow::ToOwned as _, string::String};
use core::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// How far a phone's clock may be from the server's, in seconds: a day.
pub const MOST_OFFSET: u64 = 86_400;

/// Bytes of a block of SHA-256, to which HMAC fills up its key.
const BLOCK: usize = 64;

/// The secret of a session. It cannot be printed, compares in constant time, and is wiped when it is dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// A key of 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to seal them.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// An HMAC under this key.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        keyed(&self.0)
    }
}

/// An HMAC under a key of 32 bytes, which zeros fill up to a block (RFC 2104).
pub(crate) fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; BLOCK]);
    if let Some(head) = block.first_chunk_mut() {
        *head = *key;
    }
    Hmac::new((&*block).into())
}

impl ConstantTimeEq for SessionKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for SessionKey {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for SessionKey {}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

/// Why a text is no nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a nonce has 1 to 64 visible characters of ASCII")]
pub struct NonceError;

/// What names a session: base64url text, which enters the token as it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Nonce(String);

impl Nonce {
    /// The nonce of these random bytes, as an issuer writes it.
    pub fn new(random: [u8; 8]) -> Self {
        use base64::Engine as _;
        Self(base64::engine::general_purpose::URL_SAFE.encode(random))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes that an issuer wrote so; `None` when the text is something else.
    pub fn bytes(&self) -> Option<[u8; 8]> {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE.decode(&self.0).ok()?.try_into().ok()
    }

    /// Whether it can stand in a topic.
    pub(crate) fn is_level(&self) -> bool {
        !self.0.contains(['/', '+', '#'])
    }
}

impl FromStr for Nonce {
    type Err = NonceError;

    fn from_str(text: &str) -> Result<Self, NonceError> {
        let visible = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if visible { Ok(Self(text.to_owned())) } else { Err(NonceError) }
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

super::text_from_json!(Nonce);

/// Why a number of seconds is no length of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a slot has 1 to 60 seconds")]
pub struct SlotLengthError;

/// For how many seconds a token is shown. 3, unless a lock is set otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotLength(u8);

impl SlotLength {
    /// A length of 1 to 60 seconds.
    pub const fn new(seconds: u8) -> Result<Self, SlotLengthError> {
        if matches!(seconds, 1..=60) { Ok(Self(seconds)) } else { Err(SlotLengthError) }
    }

    /// Seconds.
    pub const fn seconds(self) -> u8 {
        self.0
    }
}

impl Default for SlotLength {
    fn default() -> Self {
        Self(3)
    }
}

/// The slot in which a phone is whose clock is `clock_offset` seconds ahead of ours. `None` before 1970.
///
/// ```
/// use doorward_wire::{Time, ble::token::{SlotLength, slot_at}};
///
/// assert_eq!(slot_at(Time::from_micros(2_999_000), 7, SlotLength::default()), Some(3));
/// assert_eq!(slot_at(Time::from_micros(0), -4, SlotLength::default()), None);
/// ```
pub fn slot_at(now: Time, clock_offset: i64, length: SlotLength) -> Option<u64> {
    let micros = i128::from(now.as_micros()) + i128::from(clock_offset) * 1_000_000;
    u64::try_from(micros.div_euclid(i128::from(length.0) * 1_000_000)).ok()
}

/// What a phone shows for one slot.
#[derive(Debug, Clone, Copy)]
pub struct Token([u8; 16]);

impl Token {
    /// A token that was heard.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes as they are advertised.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl ConstantTimeEq for Token {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Token {}

/// For a table from tokens to sessions, and for those that were seen.
impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The tokens of one session. Key and nonce are worked in once, so that each token costs two blocks of SHA-256 and no memory.
#[derive(Clone)]
pub struct Tokens(Hmac<Sha256>);

impl Tokens {
    /// The tokens of a session, whose nonce enters as its text.
    pub fn new(key: &SessionKey, nonce: &str) -> Self {
        let mut mac = key.mac();
        mac.update(nonce.as_bytes());
        Self(mac)
    }

    /// The token of a slot: HMAC-SHA-256(key, nonce ‖ slot in decimal), the first 16 bytes.
    pub fn at(&self, slot: u64) -> Token {
        let (mut digits, mut rest, mut first) = ([0; 20], slot, 20);
        while first > 0 {
            first -= 1;
            if let (Some(digit), Ok(value)) = (digits.get_mut(first), u8::try_from(rest % 10)) {
                *digit = b'0' + value;
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let mut mac = self.0.clone();
        mac.update(digits.get(first..).unwrap_or_default());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        Token(bytes.first_chunk().copied().unwrap_or_default())
    }

    /// The slots that a lock accepts and their tokens: that of now, and the one before, if there was one.
    pub fn accepted(&self, slot: u64) -> impl Iterator<Item = (u64, Token)> + use<'_> {
        [Some(slot), slot.checked_sub(1)].into_iter().flatten().map(|slot| (slot, self.at(slot)))
    }

    /// The slot of an accepted token, found in constant time.
    pub fn slot_of(&self, token: &Token, now: u64) -> Option<u64> {
        let found = self.accepted(now).map(|(slot, own)| (slot, own.ct_eq(token)));
        found.fold(None, |found, (slot, same)| if bool::from(same) { Some(slot) } else { found })
    }
}

/// The token of one slot; see [`Tokens`] for those of a session.
pub fn token(key: &SessionKey, nonce: &str, slot: u64) -> Token {
    Tokens::new(key, nonce).at(slot)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, hex, vectors};
    use super::*;
    use alloc::{format, vec::Vec};
    use proptest::prelude::*;

    fn key() -> SessionKey {
        SessionKey::new([7; 32])
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
    fn the_originals_tokens_are_accepted_and_no_others() {
        let vectors = vectors();
        let all = ["tokens", "tokens_5_s"].into_iter().flat_map(|name| vectors[name].as_array().unwrap());
        let mut seen = 0;
        for vector in all {
            let length = SlotLength::new(vector["slot_seconds"].as_u64().unwrap_or(3).try_into().unwrap()).unwrap();
            let now = Time::from_micros((vector["now"].as_f64().unwrap() * 1e6).round() as i64);
            let key = SessionKey::new(bytes(&vector["key_hex"]).try_into().unwrap());
            let tokens = Tokens::new(&key, vector["nonce"].as_str().unwrap());
            let slot = slot_at(now, vector["clock_offset"].as_i64().unwrap(), length);
            let accepted: Vec<_> = slot.into_iter().flat_map(|slot| tokens.accepted(slot)).collect();
            let slots: Vec<_> = vector["accepted_slots"].as_array().unwrap().iter().map(|slot| slot.as_u64().unwrap()).collect();
            let expected: Vec<_> =
                vector["tokens_hex"].as_array().unwrap().iter().map(|token| token.as_str().unwrap().to_owned()).collect();
            assert_eq!(accepted.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), slots, "{vector}");
            assert_eq!(accepted.iter().map(|(_, token)| hex(token.as_bytes())).collect::<Vec<_>>(), expected, "{vector}");
            seen += 1;
        }
        assert_eq!(seen, 68);
    }

    #[test]
    fn a_token_of_a_future_slot_or_of_the_one_before_the_last_is_not_accepted() {
        let tokens = Tokens::new(&key(), "AAECAwQFBgc=");
        for (slot, found) in [(98, None), (99, Some(99)), (100, Some(100)), (101, None), (u64::MAX, None)] {
            assert_eq!(tokens.slot_of(&tokens.at(slot), 100), found, "{slot}");
        }
        assert_eq!(tokens.slot_of(&Tokens::new(&key(), "AAECAwQFBgg=").at(100), 100), None, "another nonce");
        assert_eq!(tokens.slot_of(&token(&SessionKey::new([8; 32]), "AAECAwQFBgc=", 100), 100), None, "another key");
    }

    #[test]
    fn a_key_is_never_printed() {
        let shown = format!("{:?} {:?}", key(), Tokens::new(&key(), ""));
        assert!(!shown.contains('7'), "{shown}");
    }

    #[test]
    fn a_nonce_is_visible_ascii_and_may_not_stand_in_a_topic() {
        let nonce = Nonce::new([0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(nonce.as_str(), "AAECAwQFBgc=");
        assert_eq!(nonce.bytes(), Some([0, 1, 2, 3, 4, 5, 6, 7]));
        assert!("a/b".parse::<Nonce>().is_ok_and(|nonce| !nonce.is_level() && nonce.bytes().is_none()));
        for wrong in ["", "a b", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(wrong.parse::<Nonce>(), Err(NonceError), "{wrong}");
        }
        assert_eq!((SlotLength::new(0), SlotLength::new(61)), (Err(SlotLengthError), Err(SlotLengthError)));
    }

    proptest! {
        #[test]
        fn a_slot_lasts_as_long_as_it_is_said(micros in any::<i64>(), offset in any::<i64>(), seconds in 1u8..=60) {
            let (now, length) = (Time::from_micros(micros), SlotLength::new(seconds).unwrap());
            let slot = slot_at(now, offset, length);
            let phone = i128::from(now.as_micros()) + i128::from(offset) * 1_000_000;
            let span = i128::from(seconds) * 1_000_000;
            prop_assert_eq!(slot.is_none(), phone < 0);
            if let Some(slot) = slot {
                prop_assert!((i128::from(slot) * span..i128::from(slot) * span + span).contains(&phone));
            }
        }

        #[test]
        fn a_slot_enters_in_decimal(bytes in any::<[u8; 32]>(), nonce in "[ -~]{0,64}", slot in any::<u64>()) {
            let key = SessionKey::new(bytes);
            let mut mac = Hmac::<Sha256>::new_from_slice(&bytes).unwrap();
            mac.update(format!("{nonce}{slot}").as_bytes());
            let whole: [u8; 32] = mac.finalize().into_bytes().into();
            let own = token(&key, &nonce, slot);
            prop_assert_eq!(own.as_bytes().as_slice(), &whole[..16]);
        }
    }
}

//! What a phone advertises: a token, and in version 2 a hint at whose it is.

use super::frame::domain;
use crate::ble::token::{SessionKey, Token, keyed};
use core::fmt;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The manufacturer data of company 0xFFFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertised {
    /// The token of this slot.
    pub token: Token,
    /// Where to look for the session. It proves nothing.
    pub hint: Option<[u8; 4]>,
}

impl Advertised {
    /// Reads 16 bytes of version 1, or 24 of version 2; `None` for anything else.
    ///
    /// ```
    /// use doorward_wire::ble::v2::Advertised;
    ///
    /// assert!(Advertised::read(&[7; 16]).is_some_and(|heard| heard.hint.is_none()));
    /// assert!(Advertised::read(&[7; 24]).is_none(), "it does not say that it is version 2");
    /// ```
    pub fn read(data: &[u8]) -> Option<Self> {
        let (token, rest) = data.split_first_chunk()?;
        let hint = match rest {
            [] => None,
            [2, 0, a, b, c, d, 0, 0] => Some([*a, *b, *c, *d]),
            _ => return None,
        };
        Some(Self { token: Token::new(*token), hint })
    }

    /// The 24 bytes of version 2.
    pub fn data(token: &Token, hint: [u8; 4]) -> [u8; 24] {
        let mut data = [0; 24];
        let parts = [&token.as_bytes()[..], &[2, 0], &hint].into_iter().flatten();
        data.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        data
    }
}

/// The hints of one session: they change with its tokens.
#[derive(Clone)]
pub struct Hints(Hmac<Sha256>);

impl Hints {
    /// The hints of the session with this key.
    pub fn new(key: &SessionKey) -> Self {
        let mut mac = key.mac();
        mac.update(&[0, 15]);
        mac.update(domain("hint", &[]).strip_suffix(&[0]).unwrap_or_default());
        Self(keyed(&Zeroizing::new(mac.finalize().into_bytes().into())))
    }

    /// The hint of a slot.
    pub fn at(&self, slot: u64) -> [u8; 4] {
        let mut mac = self.0.clone();
        mac.update(&slot.to_be_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        bytes.first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hints(…)")
    }
}

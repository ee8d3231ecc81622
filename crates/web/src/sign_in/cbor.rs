//! CBOR as authenticators write it: the part of RFC 8949 that CTAP 2.1, section 8 leaves. Every length is known beforehand.

/// What is not as the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Lists in lists that are followed. Attestation statements have three.
const DEEPEST: u8 = 8;

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const MAP: u8 = 5;

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cbor<'a>(&'a [u8]);

impl<'a> Cbor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes as they are, outside any item.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    pub(super) fn int(&mut self) -> Result<i64, Malformed> {
        match self.head()? {
            (0, number) => i64::try_from(number).map_err(|_| Malformed),
            (1, number) => i64::try_from(number).map(|number| -1 - number).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        self.string(BYTES)
    }

    pub(super) fn text(&mut self) -> Result<&'a [u8], Malformed> {
        self.string(TEXT)
    }

    /// Begins a map. Gives how many pairs follow.
    pub(super) fn map(&mut self) -> Result<u64, Malformed> {
        let (MAP, pairs) = self.head()? else { return Err(Malformed) };
        Ok(pairs)
    }

    /// Passes over one item, whatever it is.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_within(DEEPEST)
    }

    fn skip_within(&mut self, depth: u8) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        let items = match self.head()? {
            (0 | 1 | 7, _) => 0,
            (BYTES | TEXT, length) => self.take(usize::try_from(length).map_err(|_| Malformed)?).map(|_| 0)?,
            (4, items) => items,
            (MAP, pairs) => pairs.checked_mul(2).ok_or(Malformed)?,
            _ => return Err(Malformed),
        };
        // Each item takes a byte at least, so this ends with what there is to read.
        (0..items).try_for_each(|_| self.skip_within(depth))
    }

    fn string(&mut self, major: u8) -> Result<&'a [u8], Malformed> {
        match self.head()? {
            (found, length) if found == major => self.take(usize::try_from(length).map_err(|_| Malformed)?),
            _ => Err(Malformed),
        }
    }

    /// Major type and argument. A longer form than needed is read too: password managers write some.
    fn head(&mut self) -> Result<(u8, u64), Malformed> {
        let [first] = self.array()?;
        let argument = match first & 31 {
            short @ 0..24 => short.into(),
            24 => self.array::<1>()?[0].into(),
            25 => u16::from_be_bytes(self.array()?).into(),
            26 => u32::from_be_bytes(self.array()?).into(),
            27 => u64::from_be_bytes(self.array()?),
            _ => return Err(Malformed),
        };
        Ok((first >> 5, argument))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cbor, Malformed};

    fn skips(bytes: &[u8]) -> bool {
        let mut cbor = Cbor::new(bytes);
        cbor.skip().is_ok() && cbor.is_empty()
    }

    /// RFC 8949, appendix A.
    #[test]
    fn items_of_the_standard_are_read() {
        for (bytes, number) in [(&b"\x17"[..], 23), (b"\x18\x18", 24), (b"\x19\x03\xe8", 1000), (b"\x20", -1), (b"\x39\x03\xe7", -1000)] {
            assert_eq!(Cbor::new(bytes).int(), Ok(number));
        }
        assert_eq!(Cbor::new(b"\x44\x01\x02\x03\x04").bytes(), Ok(&[1, 2, 3, 4][..]));
        assert_eq!(Cbor::new(b"\x64IETF").text(), Ok(&b"IETF"[..]));
        for whole in [&b"\xa2\x61a\x01\x61b\x82\x02\x03"[..], b"\xf9\x3c\x00", b"\xfa\x00\x00\x00\x00", b"\xf5", b"\x80"] {
            assert!(skips(whole), "{whole:02x?}");
        }
    }

    #[test]
    fn what_is_not_whole_or_has_no_length_is_refused() {
        for wrong in [&b""[..], b"\x5f\x41\x01\xff", b"\xc0\x00", b"\x1c", b"\x82\x01"] {
            assert!(!skips(wrong), "{wrong:02x?}");
        }
        assert!(!skips(&[0x9b, 255, 255, 255, 255, 255, 255, 255, 255]) && !skips(&[0xbb, 255, 255, 255, 255, 255, 255, 255, 255]));
        assert!(!skips(&[0x81; 5000]), "a depth without end");
        assert_eq!(Cbor::new(b"\x41a").text(), Err(Malformed));
        assert_eq!(Cbor::new(b"\x1b\x80\x00\x00\x00\x00\x00\x00\x00").int(), Err(Malformed), "beyond what fits");
    }
}

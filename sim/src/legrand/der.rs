//! Walking DER (ITU-T X.690), strictly: definite lengths in their shortest form, nothing left over.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// What has not been read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Der<'a>(&'a [u8]);

/// One value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// With tag and length.
    pub(crate) whole: &'a [u8],
}

impl<'a> Der<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value, whatever it is.
    pub(crate) fn read(&mut self) -> Result<Element<'a>, String> {
        let all = self.0;
        let [tag, first, rest @ ..] = all else {
            return Err("DER ends early".to_owned());
        };
        let (length, rest) = match (*first, rest) {
            (short @ 0..=0x7f, rest) => (usize::from(short), rest),
            (0x81, [length, rest @ ..]) if *length >= 0x80 => (usize::from(*length), rest),
            (0x82, [high, low, rest @ ..]) if *high > 0 => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return Err("a length is not in its shortest form, or the value far too long".to_owned()),
        };
        let content = rest.get(..length).ok_or("a value is longer than what holds it")?;
        let header = all.len() - rest.len();
        let (whole, left) = all.split_at(header + length);
        self.0 = left;
        Ok(Element { tag: *tag, content, whole })
    }

    /// The next value, which must have this tag. `what` is for whoever gets it wrong.
    pub(crate) fn expect(&mut self, tag: u8, what: &str) -> Result<Element<'a>, String> {
        let element = self.read().map_err(|error| format!("{what}: {error}"))?;
        if element.tag == tag {
            return Ok(element);
        }
        Err(format!("{what}: tag {:#04x} instead of {tag:#04x}", element.tag))
    }

    /// Opens the next value, which must have this tag.
    pub(crate) fn enter(&mut self, tag: u8, what: &str) -> Result<Self, String> {
        self.expect(tag, what).map(|element| Self(element.content))
    }

    /// The next value must be exactly this one.
    pub(crate) fn exactly(&mut self, tag: u8, content: &[u8], what: &str) -> Result<(), String> {
        let found = self.expect(tag, what)?;
        if found.content == content { Ok(()) } else { Err(format!("{what} is another one")) }
    }

    /// Nothing may be left.
    pub(crate) fn end(self, what: &str) -> Result<(), String> {
        if self.is_empty() { Ok(()) } else { Err(format!("{what} holds more than it should")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_be_as_short_as_they_can() {
        assert_eq!(Der::new(&[0x04, 0x01, 7]).read().unwrap().content, [7]);
        assert!(Der::new(&[0x04, 0x81, 0x01, 7]).read().is_err());
        assert!(Der::new(&[0x04, 0x80, 7, 0, 0]).read().is_err());
        assert!(Der::new(&[0x04, 0x02, 7]).read().is_err());
        let mut long = vec![0x04, 0x82, 0x01, 0x00];
        long.extend([0; 256]);
        assert_eq!(Der::new(&long).read().unwrap().content.len(), 256);
    }
}

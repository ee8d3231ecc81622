//! D-Bus by hand, as its specification has it: nothing of the client is used here.

/// What is written, from a place that is a multiple of 8.
#[derive(Debug, Clone, Default)]
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Out {
    pub(crate) fn align(&mut self, to: usize) -> &mut Self {
        while !self.0.len().is_multiple_of(to) {
            self.0.push(0);
        }
        self
    }

    pub(crate) fn u8(&mut self, number: u8) -> &mut Self {
        self.0.push(number);
        self
    }

    pub(crate) fn u16(&mut self, number: u16) -> &mut Self {
        self.align(2).0.extend(number.to_le_bytes());
        self
    }

    pub(crate) fn i16(&mut self, number: i16) -> &mut Self {
        self.align(2).0.extend(number.to_le_bytes());
        self
    }

    pub(crate) fn u32(&mut self, number: u32) -> &mut Self {
        self.align(4).0.extend(number.to_le_bytes());
        self
    }

    /// A text or a path.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.u32(text.len().try_into().unwrap()).0.extend(text.as_bytes());
        self.u8(0)
    }

    pub(crate) fn signature(&mut self, text: &str) -> &mut Self {
        self.u8(text.len().try_into().unwrap()).0.extend(text.as_bytes());
        self.u8(0)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len().try_into().unwrap()).0.extend(bytes);
        self
    }

    /// An array, whose items begin at a multiple of this.
    pub(crate) fn array(&mut self, to: usize, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.u32(0);
        let at = self.0.len() - 4;
        self.align(to);
        let start = self.0.len();
        write(self);
        let length = u32::try_from(self.0.len() - start).unwrap();
        self.0[at..at + 4].copy_from_slice(&length.to_le_bytes());
        self
    }

    /// An item `{sv}` of a dictionary.
    pub(crate) fn pair(&mut self, key: &str, signature: &str, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.align(8).text(key).signature(signature);
        write(self);
        self
    }

    /// `a{sv}`
    pub(crate) fn dict(&mut self, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.array(8, write)
    }

    pub(crate) fn texts(&mut self, texts: &[&str]) -> &mut Self {
        self.array(4, |out| texts.iter().for_each(|text| _ = out.text(text)))
    }

    /// The property `ManufacturerData`.
    pub(crate) fn manufacturer(&mut self, company: u16, data: &[u8]) -> &mut Self {
        self.pair("ManufacturerData", "a{qv}", |out| {
            out.array(8, |out| _ = out.align(8).u16(company).signature("ay").bytes(data));
        })
    }
}

/// Body: what `write` writes.
pub(crate) fn body(write: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut out = Out::default();
    write(&mut out);
    out.0
}

/// A message, and what it says of itself. Fields that are empty are not there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Raw {
    /// 1 call, 2 return, 3 error, 4 signal.
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) serial: u32,
    pub(crate) reply_to: u32,
    pub(crate) path: String,
    pub(crate) interface: String,
    pub(crate) member: String,
    pub(crate) error: String,
    pub(crate) destination: String,
    pub(crate) sender: String,
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Out(vec![b'l', self.kind, self.flags, 1]);
        out.u32(self.body.len().try_into().unwrap()).u32(self.serial);
        let texts = [
            (1, "o", &self.path),
            (2, "s", &self.interface),
            (3, "s", &self.member),
            (4, "s", &self.error),
            (6, "s", &self.destination),
            (7, "s", &self.sender),
        ];
        out.array(8, |out| {
            for (code, signature, text) in texts.into_iter().filter(|(.., text)| !text.is_empty()) {
                out.align(8).u8(code).signature(signature).text(text);
            }
            if self.reply_to != 0 {
                out.align(8).u8(5).signature("u").u32(self.reply_to);
            }
            if !self.signature.is_empty() {
                out.align(8).u8(8).signature("g").signature(&self.signature);
            }
        });
        out.align(8).0.extend(&self.body);
        out.0
    }

    /// Reads what the client wrote, and panics when that is not as it should be.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((bytes[0], bytes[3]), (b'l', 1), "little-endian, version 1");
        let mut raw = Self { kind: bytes[1], flags: bytes[2], serial: number(8), ..Self::default() };
        let (end, mut at) = (16 + number(12) as usize, 16);
        while at < end {
            at = at.next_multiple_of(8);
            let (code, signature) = (bytes[at], bytes[at + 2]);
            assert_eq!((bytes[at + 1], bytes[at + 3]), (1, 0), "a signature of one type");
            at += 4;
            let text = |at: usize, length: usize| String::from_utf8(bytes[at..at + length].to_vec()).unwrap();
            let value = match signature {
                b's' | b'o' => {
                    let length = number(at) as usize;
                    let value = text(at + 4, length);
                    at += 4 + length + 1;
                    value
                }
                b'g' => {
                    let length = usize::from(bytes[at]);
                    let value = text(at + 1, length);
                    at += 1 + length + 1;
                    value
                }
                b'u' => {
                    at += 4;
                    number(at - 4).to_string()
                }
                other => panic!("a field of type {other}"),
            };
            match code {
                1 => raw.path = value,
                2 => raw.interface = value,
                3 => raw.member = value,
                4 => raw.error = value,
                5 => raw.reply_to = value.parse().unwrap(),
                6 => raw.destination = value,
                8 => raw.signature = value,
                other => panic!("a field {other}"),
            }
        }
        raw.body = bytes[end.next_multiple_of(8)..].to_vec();
        assert_eq!(raw.body.len(), number(4) as usize);
        raw
    }

    /// Whether the body has this text in it.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// Whether the body has these bytes in it.
    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        self.body.windows(bytes.len()).any(|part| part == bytes)
    }
}

//! Values to bytes (section "Marshaling").

use super::{
    BusError, MOST_DEPTH, MOST_MESSAGE, Value,
    signature::{self, alignment},
};

/// Bytes of a message or of its body, which both begin at a multiple of 8.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn pad(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub(super) fn value(&mut self, value: &Value) -> Result<(), BusError> {
        self.nested(value, MOST_DEPTH)
    }

    fn nested(&mut self, value: &Value, depth: usize) -> Result<(), BusError> {
        let depth = depth.checked_sub(1).ok_or(BusError::Malformed("a value is too deep"))?;
        match value {
            Value::Byte(byte) => self.0.push(*byte),
            Value::Bool(value) => self.number(u32::from(*value).to_le_bytes()),
            Value::I16(number) => self.number(number.to_le_bytes()),
            Value::U16(number) => self.number(number.to_le_bytes()),
            Value::I32(number) => self.number(number.to_le_bytes()),
            Value::U32(number) => self.number(number.to_le_bytes()),
            Value::I64(number) => self.number(number.to_le_bytes()),
            Value::U64(number) => self.number(number.to_le_bytes()),
            Value::F64(number) => self.number(number.to_le_bytes()),
            Value::Text(text) => self.text(text)?,
            Value::Path(path) => {
                check_path(path)?;
                self.text(path)?;
            }
            Value::Signature(text) => self.signature(text)?,
            Value::Bytes(bytes) => {
                self.number(length(bytes.len())?.to_le_bytes());
                self.0.extend(bytes);
            }
            Value::Array(item, items) => self.array(item, items, depth)?,
            Value::Struct(items) => {
                if items.is_empty() {
                    return Err(BusError::Malformed("a structure is empty"));
                }
                self.pad(8);
                items.iter().try_for_each(|item| self.nested(item, depth))?;
            }
            Value::Pair(key, value) => {
                self.pad(8);
                self.nested(key, depth)?;
                self.nested(value, depth)?;
            }
            Value::Variant(value) => {
                let mut text = String::new();
                value.sign(&mut text);
                let (_, rest) = signature::split(&text)?;
                if !rest.is_empty() {
                    return Err(BusError::Malformed("a variant of several types"));
                }
                self.signature(&text)?;
                self.nested(value, depth)?;
            }
        }
        Ok(())
    }

    fn number<const BYTES: usize>(&mut self, bytes: [u8; BYTES]) {
        self.pad(BYTES);
        self.0.extend(bytes);
    }

    fn text(&mut self, text: &str) -> Result<(), BusError> {
        if text.contains('\0') {
            return Err(BusError::Malformed("a text has a zero in it"));
        }
        self.number(length(text.len())?.to_le_bytes());
        self.0.extend(text.as_bytes());
        self.0.push(0);
        Ok(())
    }

    fn signature(&mut self, text: &str) -> Result<(), BusError> {
        signature::check(text)?;
        self.0.push(u8::try_from(text.len()).map_err(|_| BusError::Malformed("a signature is too long"))?);
        self.0.extend(text.as_bytes());
        self.0.push(0);
        Ok(())
    }

    fn array(&mut self, item: &str, items: &[Value], depth: usize) -> Result<(), BusError> {
        self.number([0; 4]);
        let at = self.0.len();
        self.pad(alignment(item.bytes().next().unwrap_or_default()));
        let start = self.0.len();
        for value in items {
            let mut own = String::new();
            value.sign(&mut own);
            if own != item {
                return Err(BusError::Malformed("an array has items of another type"));
            }
            self.nested(value, depth)?;
        }
        let bytes = length(self.0.len() - start)?;
        if let Some(place) = self.0.get_mut(at - 4..at) {
            place.copy_from_slice(&bytes.to_le_bytes());
        }
        Ok(())
    }
}

pub(super) fn length(bytes: usize) -> Result<u32, BusError> {
    u32::try_from(bytes).ok().filter(|_| bytes <= MOST_MESSAGE).ok_or(BusError::TooLong(bytes))
}

/// Whether it is the path of an object (section "Valid Object Paths").
pub(super) fn check_path(path: &str) -> Result<(), BusError> {
    let element = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let fits = path == "/" || path.strip_prefix('/').is_some_and(|path| path.split('/').all(element));
    if fits { Ok(()) } else { Err(BusError::Malformed("a path is none")) }
}

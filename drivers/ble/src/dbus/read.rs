//! Bytes to values (section "Marshaling"), exactly as they must be: what is refused here was not written by a bus.

use super::{
    BusError, MOST_DEPTH, MOST_VALUES, Value,
    signature::{self, alignment},
    write::check_path,
};

/// Bytes of a message or of its body, which both begin at a multiple of 8.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

const SHORT: BusError = BusError::Malformed("it ends too early");

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, values: MOST_VALUES }
    }

    /// All values of this signature.
    pub(super) fn values(&mut self, mut signature: &str) -> Result<Vec<Value>, BusError> {
        let mut values = Vec::new();
        while !signature.is_empty() {
            let (first, rest) = signature::split(signature)?;
            values.push(self.value(first, MOST_DEPTH)?);
            signature = rest;
        }
        Ok(values)
    }

    pub(super) fn pad(&mut self, to: usize) -> Result<(), BusError> {
        let bytes = self.take(self.at.next_multiple_of(to) - self.at)?;
        if bytes.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(BusError::Malformed("padding is not zero")) }
    }

    /// What was not read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], BusError> {
        let bytes = self.rest().get(..count).ok_or(SHORT)?;
        self.at += count;
        Ok(bytes)
    }

    fn number<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], BusError> {
        self.pad(BYTES)?;
        self.take(BYTES)?.try_into().map_err(|_| SHORT)
    }

    fn length(&mut self) -> Result<usize, BusError> {
        usize::try_from(u32::from_le_bytes(self.number()?)).map_err(|_| SHORT)
    }

    /// A text of this length, and the zero behind it.
    fn text(&mut self, length: usize) -> Result<&'a str, BusError> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| BusError::Malformed("a text is no UTF-8"))?;
        if text.contains('\0') || self.take(1)? != [0] {
            return Err(BusError::Malformed("a text does not end where it should"));
        }
        Ok(text)
    }

    fn signature(&mut self) -> Result<&'a str, BusError> {
        let [length] = self.number()?;
        let text = self.text(length.into())?;
        signature::check(text)?;
        Ok(text)
    }

    /// A value of this complete type.
    fn value(&mut self, signature: &str, depth: usize) -> Result<Value, BusError> {
        let depth = depth.checked_sub(1).ok_or(BusError::Malformed("a value is too deep"))?;
        self.values = self.values.checked_sub(1).ok_or(BusError::Malformed("it has too many values"))?;
        let (first, inner) = signature.split_at_checked(1).unwrap_or_default();
        Ok(match first {
            "y" => Value::Byte(u8::from_le_bytes(self.number()?)),
            "b" => match u32::from_le_bytes(self.number()?) {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err(BusError::Malformed("neither true nor false")),
            },
            "n" => Value::I16(i16::from_le_bytes(self.number()?)),
            "q" => Value::U16(u16::from_le_bytes(self.number()?)),
            "i" => Value::I32(i32::from_le_bytes(self.number()?)),
            "u" => Value::U32(u32::from_le_bytes(self.number()?)),
            "x" => Value::I64(i64::from_le_bytes(self.number()?)),
            "t" => Value::U64(u64::from_le_bytes(self.number()?)),
            "d" => Value::F64(f64::from_le_bytes(self.number()?)),
            "s" => {
                let length = self.length()?;
                Value::Text(self.text(length)?.into())
            }
            "o" => {
                let length = self.length()?;
                let path = self.text(length)?;
                check_path(path)?;
                Value::Path(path.into())
            }
            "g" => Value::Signature(self.signature()?.into()),
            "v" => {
                let signature = self.signature()?;
                let (one, rest) = signature::split(signature)?;
                if !rest.is_empty() {
                    return Err(BusError::Malformed("a variant of several types"));
                }
                Value::Variant(Box::new(self.value(one, depth)?))
            }
            "a" => self.array(inner, depth)?,
            "(" => Value::Struct(self.members(inner.strip_suffix(')').unwrap_or(inner), depth)?),
            "{" => {
                let [key, value] = <[Value; 2]>::try_from(self.members(inner.strip_suffix('}').unwrap_or(inner), depth)?)
                    .map_err(|_| BusError::Malformed("an item of a dictionary has two parts"))?;
                Value::Pair(Box::new(key), Box::new(value))
            }
            _ => return Err(BusError::Malformed("a type that is not known")),
        })
    }

    fn members(&mut self, mut signature: &str, depth: usize) -> Result<Vec<Value>, BusError> {
        self.pad(8)?;
        let mut members = Vec::new();
        while !signature.is_empty() {
            let (first, rest) = signature::split(signature)?;
            members.push(self.value(first, depth)?);
            signature = rest;
        }
        Ok(members)
    }

    fn array(&mut self, item: &str, depth: usize) -> Result<Value, BusError> {
        let length = self.length()?;
        self.pad(alignment(item.bytes().next().unwrap_or_default()))?;
        if item == "y" {
            return Ok(Value::Bytes(self.take(length)?.into()));
        }
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(SHORT)?;
        let mut items = Vec::new();
        while self.at < end {
            items.push(self.value(item, depth)?);
        }
        if self.at == end {
            Ok(Value::Array(item.into(), items))
        } else {
            Err(BusError::Malformed("an array does not end where it should"))
        }
    }
}

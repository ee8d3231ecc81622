//! What can be said.

/// A value. Of the types of the specification only file descriptors are missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`
    F64(f64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// `ay`, the one array that is not taken apart.
    Bytes(Vec<u8>),
    /// `a`: the signature of an item, and the items.
    Array(String, Vec<Value>),
    /// `(…)`
    Struct(Vec<Value>),
    /// `{…}`: an item of a dictionary.
    Pair(Box<Value>, Box<Value>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// The path of an object.
    pub fn path(path: &str) -> Self {
        Self::Path(path.into())
    }

    /// What is in the variant, or itself.
    pub fn inner(&self) -> &Self {
        if let Self::Variant(value) = self { value.inner() } else { self }
    }

    /// The text of a text or path.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) | Self::Path(text) = self.inner() { Some(text) } else { None }
    }

    /// The truth.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self.inner() { Some(*value) } else { None }
    }

    /// Bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self.inner() { Some(bytes) } else { None }
    }

    /// A number of 16 bits.
    pub fn as_u16(&self) -> Option<u16> {
        if let Self::U16(number) = self.inner() { Some(*number) } else { None }
    }

    /// A number of 16 bits with a sign.
    pub fn as_i16(&self) -> Option<i16> {
        if let Self::I16(number) = self.inner() { Some(*number) } else { None }
    }

    /// Items of an array or structure.
    pub fn items(&self) -> &[Self] {
        if let Self::Array(_, items) | Self::Struct(items) = self.inner() { items } else { &[] }
    }

    /// Keys and values of a dictionary.
    pub fn pairs(&self) -> impl Iterator<Item = (&Self, &Self)> {
        self.items().iter().filter_map(|item| if let Self::Pair(key, value) = item { Some((&**key, value.inner())) } else { None })
    }

    /// The value of a key of a dictionary.
    pub fn at(&self, key: &str) -> Option<&Self> {
        self.pairs().find(|(own, _)| own.as_text() == Some(key)).map(|(_, value)| value)
    }

    /// Writes down its signature.
    pub(super) fn sign(&self, to: &mut String) {
        match self {
            Self::Byte(_) => to.push('y'),
            Self::Bool(_) => to.push('b'),
            Self::I16(_) => to.push('n'),
            Self::U16(_) => to.push('q'),
            Self::I32(_) => to.push('i'),
            Self::U32(_) => to.push('u'),
            Self::I64(_) => to.push('x'),
            Self::U64(_) => to.push('t'),
            Self::F64(_) => to.push('d'),
            Self::Text(_) => to.push('s'),
            Self::Path(_) => to.push('o'),
            Self::Signature(_) => to.push('g'),
            Self::Variant(_) => to.push('v'),
            Self::Bytes(_) => to.push_str("ay"),
            Self::Array(item, _) => to.extend(["a", item]),
            Self::Struct(items) => {
                to.push('(');
                for item in items {
                    item.sign(to);
                }
                to.push(')');
            }
            Self::Pair(key, value) => {
                to.push('{');
                key.sign(to);
                value.sign(to);
                to.push('}');
            }
        }
    }
}

/// A variant of this.
pub fn variant(value: Value) -> Value {
    Value::Variant(Box::new(value))
}

/// `as`
pub fn strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    Value::Array("s".into(), texts.into_iter().map(Value::text).collect())
}

/// `ao`
pub fn paths<'a>(paths: impl IntoIterator<Item = &'a str>) -> Value {
    Value::Array("o".into(), paths.into_iter().map(Value::path).collect())
}

/// `a{sv}`
pub fn dict<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let pair = |(key, value)| Value::Pair(Box::new(Value::text(key)), Box::new(variant(value)));
    Value::Array("{sv}".into(), pairs.into_iter().map(pair).collect())
}

//! The envelope of a message (section "Message Format").

use super::{
    BusError, MOST_MESSAGE, Value,
    read::Reader,
    variant,
    write::{Writer, length},
};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Somebody wants something.
    #[default]
    Call,
    /// It was done.
    Return,
    /// It was not.
    Error,
    /// Something happened.
    Signal,
}

/// A message. What is empty is not there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// A call that nobody wants an answer to.
    pub no_reply: bool,
    /// Its number, of all that its sender sent. Never 0.
    pub serial: u32,
    /// Of an answer: the number of the call.
    pub reply_to: Option<u32>,
    /// Who sent it. The bus writes this, nobody else can.
    pub sender: String,
    /// Whom it is for; empty when it is for all who listen.
    pub destination: String,
    /// The object.
    pub path: String,
    /// Which of its interfaces.
    pub interface: String,
    /// The method or signal.
    pub member: String,
    /// Of an error: its name.
    pub error: String,
    /// What is said.
    pub body: Vec<Value>,
}

/// Bytes before which nobody knows how long a message is.
pub(super) const PREFIX: usize = 16;
/// Bytes of the header of a message that is too long, of which it is found out whose answer it is.
pub(super) const MOST_HEADER: usize = 8 << 10;
/// What the specification allows.
const MOST_EVER: usize = 128 << 20;
/// Flags (section "Header"): nobody wants an answer; a service that does not run is not to be started for this.
const NO_REPLY: u8 = 1;
const NO_START: u8 = 2;

/// Where a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes to its body.
    pub(super) header: usize,
    /// Bytes in all.
    pub(super) total: usize,
    /// It can be read: little-endian, and not too long.
    pub(super) readable: bool,
}

impl Frame {
    /// Of the first bytes. An error is one of the connection: nobody knows where the next message begins.
    pub(super) fn of(prefix: [u8; PREFIX]) -> Result<Self, BusError> {
        let [order, _, _, version, rest @ ..] = prefix;
        let (body, fields) = (rest.first_chunk().copied().unwrap_or_default(), rest.last_chunk().copied().unwrap_or_default());
        let number: fn([u8; 4]) -> u32 = match order {
            b'l' => u32::from_le_bytes,
            b'B' => u32::from_be_bytes,
            _ => return Err(BusError::Malformed("no order of bytes")),
        };
        if version != 1 {
            return Err(BusError::Malformed("another version of the protocol"));
        }
        let bytes = |number| usize::try_from(number).ok().filter(|bytes| *bytes <= MOST_EVER).ok_or(BusError::TooLong(MOST_EVER));
        let header = (PREFIX + bytes(number(fields))?).next_multiple_of(8);
        let total = header + bytes(number(body))?;
        Ok(Self { header, total, readable: order == b'l' && total <= MOST_MESSAGE })
    }
}

/// Writes a message.
pub fn encode(message: &Message) -> Result<Vec<u8>, BusError> {
    let (mut signature, mut body) = (String::new(), Writer::default());
    for value in &message.body {
        value.sign(&mut signature);
        body.value(value)?;
    }
    let text = |text: &String| (!text.is_empty()).then(|| Value::Text(text.clone()));
    let fields = [
        (1, (!message.path.is_empty()).then(|| Value::Path(message.path.clone()))),
        (2, text(&message.interface)),
        (3, text(&message.member)),
        (4, text(&message.error)),
        (5, message.reply_to.map(Value::U32)),
        (6, text(&message.destination)),
        (7, text(&message.sender)),
        (8, (!signature.is_empty()).then_some(Value::Signature(signature))),
    ];
    let field = |(code, value): (u8, Option<Value>)| Some(Value::Struct(vec![Value::Byte(code), variant(value?)]));
    let fields = Value::Array("(yv)".into(), fields.into_iter().filter_map(field).collect());
    let kind = match message.kind {
        Kind::Call => 1,
        Kind::Return => 2,
        Kind::Error => 3,
        Kind::Signal => 4,
    };
    let flags = if message.no_reply { NO_REPLY | NO_START } else { NO_START };
    let mut all = Writer(vec![b'l', kind, flags, 1]);
    all.value(&Value::U32(length(body.0.len())?))?;
    all.value(&Value::U32(message.serial))?;
    all.value(&fields)?;
    all.pad(8);
    all.0.extend(body.0);
    length(all.0.len())?;
    Ok(all.0)
}

/// Reads a message, of exactly these bytes.
pub fn decode(bytes: &[u8]) -> Result<Message, BusError> {
    if bytes.len() > MOST_MESSAGE {
        return Err(BusError::TooLong(bytes.len()));
    }
    let (mut message, signature, body) = header(bytes)?;
    let mut body = Reader::new(body);
    message.body = body.values(&signature)?;
    if body.rest().is_empty() { Ok(message) } else { Err(BusError::Malformed("bytes are left over")) }
}

/// Reads what comes before the body. The body need not be there.
pub(super) fn header(bytes: &[u8]) -> Result<(Message, String, &[u8]), BusError> {
    let prefix = bytes.first_chunk().ok_or(BusError::Malformed("it ends too early"))?;
    if bytes.first() != Some(&b'l') {
        return Err(BusError::Malformed("the high byte first"));
    }
    let frame = Frame::of(*prefix)?;
    let mut reader = Reader::new(bytes);
    let start = reader.values("yyyyuu")?;
    let fields = reader.values("a(yv)")?;
    reader.pad(8)?;
    let body = reader.rest();
    if !body.is_empty() && frame.header + body.len() != frame.total {
        return Err(BusError::Malformed("its length is not what it says"));
    }
    let [_, Value::Byte(kind), Value::Byte(flags), _, Value::U32(length), Value::U32(serial)] = *start.as_slice() else {
        return Err(BusError::Malformed("no header"));
    };
    let kind = match kind {
        1 => Kind::Call,
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => return Err(BusError::Malformed("a kind that is not known")),
    };
    let mut message = Message { kind, serial, no_reply: flags & NO_REPLY != 0, ..Message::default() };
    let mut signature = String::new();
    for field in fields.iter().flat_map(Value::items) {
        take(field, &mut message, &mut signature)?;
    }
    if signature.is_empty() && length != 0 {
        return Err(BusError::Malformed("a body without a signature"));
    }
    if serial == 0 || !complete(&message) {
        return Err(BusError::Malformed("a field is missing"));
    }
    Ok((message, signature, body))
}

/// Takes one field. Those that are not known are left out (section "Header Fields").
fn take(field: &Value, message: &mut Message, signature: &mut String) -> Result<(), BusError> {
    let [Value::Byte(code), Value::Variant(value)] = field.items() else { return Err(BusError::Malformed("no header field")) };
    match (code, &**value) {
        (1, Value::Path(path)) => message.path.clone_from(path),
        (2, Value::Text(text)) => message.interface.clone_from(text),
        (3, Value::Text(text)) => message.member.clone_from(text),
        (4, Value::Text(text)) => message.error.clone_from(text),
        (5, Value::U32(number)) => message.reply_to = Some(*number),
        (6, Value::Text(text)) => message.destination.clone_from(text),
        (7, Value::Text(text)) => message.sender.clone_from(text),
        (8, Value::Signature(text)) => signature.clone_from(text),
        (1..=8, _) => return Err(BusError::Malformed("a header field of another type")),
        // File descriptors, which we do not take, and what comes after this version.
        _ => {}
    }
    Ok(())
}

fn complete(message: &Message) -> bool {
    let named = !message.path.is_empty() && !message.member.is_empty();
    match message.kind {
        Kind::Call => named,
        Kind::Signal => named && !message.interface.is_empty(),
        Kind::Return => message.reply_to.is_some(),
        Kind::Error => message.reply_to.is_some() && !message.error.is_empty(),
    }
}

//! How a guest asks an issuer for a session, in one write, and is answered in one.

use super::{
    FrameError, Ways,
    frame::{Kind, Reader, count, domain, split_signature},
    key::{Guest, GuestKey, Identity, Issuer, KEY_ID, Opening, Sealing, sealing},
    short,
};
use crate::ble::{
    LAST_SECOND, LockId,
    token::{MOST_OFFSET, Nonce, SessionKey, SlotLength},
};
use aes_gcm::{
    Aes128Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use alloc::{string::String, vec::Vec};
use zeroize::Zeroizing;

/// Bytes of an invite.
const MOST_INVITE: usize = 40;

/// What an issuer says before it is asked. It is good for one request on this connection, for 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Which issuer it says it is.
    pub key_id: [u8; KEY_ID],
    /// 16 random bytes, made for this connection.
    pub challenge: [u8; 16],
}

impl Hello {
    /// How long an issuer takes a request for its challenge.
    pub const LIFE: core::time::Duration = core::time::Duration::from_secs(10);

    /// What an issuer lets read.
    pub fn write(&self) -> Vec<u8> {
        [&Kind::Hello.head()[..], &self.key_id, &self.challenge].concat()
    }

    /// Reads a hello.
    pub fn read(frame: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::of(Kind::Hello, frame)?;
        let hello = Self { key_id: reader.array()?, challenge: reader.array()? };
        reader.end().map(|()| hello)
    }
}

/// What a guest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The lock that it wants to open.
    pub lock: LockId,
    /// The time of its clock, in seconds.
    pub client_time: Option<u64>,
    /// The one-time code of a pass: visible ASCII, 40 bytes at most. Empty for none.
    pub invite: String,
}

impl Ask {
    /// The write, and what opens the answer to it. `random` is 32 bytes, used once.
    pub fn seal(&self, hello: &Hello, issuer: &Identity, guest: &Guest, random: [u8; 32]) -> Result<(Vec<u8>, Asked), FrameError> {
        if hello.key_id != issuer.key_id() {
            return Err(FrameError::OtherKey);
        }
        if self.client_time.is_some_and(|time| time > LAST_SECOND) {
            return Err(FrameError::Malformed);
        }
        if self.invite.len() > MOST_INVITE || !self.invite.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(FrameError::TooLong);
        }
        let identity = issuer.to_bytes();
        let (enc, mut context) = sealing(issuer.sealing(), &domain("request", &[&identity, &hello.challenge]), random)?;
        let mut plain = Zeroizing::new(Vec::from(guest.key().as_bytes()));
        plain.extend_from_slice(&self.client_time.unwrap_or(0).to_be_bytes());
        count(&mut plain, short(&self.lock)?)?;
        count(&mut plain, self.invite.as_bytes())?;
        let signature = guest.signature(&domain("request", &[&identity, &hello.challenge, &enc, &plain]));
        plain.extend_from_slice(&signature);
        let head = head(issuer);
        let sealed = context.seal(&plain, &head).map_err(|_| FrameError::Sealed)?;
        Ok(([&head[..], &enc, &sealed].concat(), Asked(context)))
    }
}

/// What a guest keeps to open the answer.
pub struct Asked(Sealing);

impl Asked {
    /// Opens the answer. Only the issuer can have made it, and for this request alone.
    pub fn open(&self, frame: &[u8]) -> Result<Answer, FrameError> {
        let mut reader = Reader::of(Kind::Answer, frame)?;
        let random: [u8; 16] = reader.array()?;
        let mut secret = Zeroizing::new([0; 28]);
        self.0.export(&domain("answer", &[&random]), &mut *secret).map_err(|_| FrameError::Sealed)?;
        let (key, nonce) = cipher(&secret)?;
        let payload = Payload { msg: reader.rest(), aad: &Kind::Answer.head() };
        let plain = Zeroizing::new(key.decrypt(&nonce.into(), payload).map_err(|_| FrameError::Sealed)?);
        Answer::read(&plain)
    }
}

/// A request that an issuer has opened.
pub struct Opened {
    /// What the guest asks for.
    pub ask: Ask,
    /// Who asks: the key has signed it.
    pub guest: GuestKey,
    context: Opening,
}

/// Opens a request for the challenge of this connection. The challenge must not be taken again.
pub fn open_request(frame: &[u8], challenge: &[u8; 16], issuer: &Issuer) -> Result<Opened, FrameError> {
    let mut reader = Reader::of(Kind::Request, frame)?;
    let key_id: [u8; KEY_ID] = reader.array()?;
    let head = head(issuer.identity());
    if !head.ends_with(&key_id) {
        return Err(FrameError::OtherKey);
    }
    let identity = issuer.identity().to_bytes();
    let enc = reader.array()?;
    let mut context = issuer.opening(&enc, &domain("request", &[&identity, challenge]))?;
    let plain = Zeroizing::new(context.open(reader.rest(), &head).map_err(|_| FrameError::Sealed)?);
    let (said, signature) = split_signature(&plain)?;
    let mut reader = Reader::new(said);
    let guest = GuestKey::from_bytes(&reader.array()?).ok_or(FrameError::Malformed)?;
    let client_time = Some(reader.seconds()?).filter(|time| *time > 0);
    let ask = Ask { client_time, lock: reader.lock()?, invite: reader.ascii(MOST_INVITE)?.into() };
    reader.end()?;
    if !guest.verify(&domain("request", &[&identity, challenge, &enc, said]), signature) {
        return Err(FrameError::Signature);
    }
    Ok(Opened { ask, guest, context })
}

impl Opened {
    /// The answer, which only who asked can open. `random` is used once.
    pub fn answer(&self, answer: &Answer, random: [u8; 16]) -> Result<Vec<u8>, FrameError> {
        let mut secret = Zeroizing::new([0; 28]);
        self.context.export(&domain("answer", &[&random]), &mut *secret).map_err(|_| FrameError::Sealed)?;
        let (key, nonce) = cipher(&secret)?;
        let plain = answer.write()?;
        let sealed = key.encrypt(&nonce.into(), Payload { msg: &plain, aad: &Kind::Answer.head() });
        let sealed = sealed.map_err(|_| FrameError::Sealed)?;
        Ok([&Kind::Answer.head()[..], &random, &sealed].concat())
    }
}

/// What an issuer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A session.
    Given(Given),
    /// None.
    Refused(Why),
}

/// A session, as the guest has it, and the lock as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What tokens and responses are made with.
    pub key: SessionKey,
    /// What names the session.
    pub nonce: [u8; 8],
    /// When it is over, in seconds since 1970 by the issuer's clock.
    pub expiry: u64,
    /// By how many seconds the guest's clock is ahead of the issuer's; 0 when it did not say.
    pub clock_offset: i32,
    /// For how long the lock wants each token.
    pub slot: SlotLength,
    /// How the lock can be opened with it.
    pub ways: Ways,
}

impl Given {
    /// The nonce as it enters a token, and as it stands in a topic.
    pub fn nonce(&self) -> Nonce {
        Nonce::new(self.nonce)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        if u64::from(self.clock_offset.unsigned_abs()) > MOST_OFFSET || self.expiry > LAST_SECOND {
            return Err(FrameError::Malformed);
        }
        out.extend_from_slice(self.key.expose());
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.expiry.to_be_bytes());
        out.extend_from_slice(&self.clock_offset.to_be_bytes());
        out.extend_from_slice(&[self.slot.seconds(), self.ways.0]);
        Ok(())
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FrameError> {
        let given = Self {
            key: SessionKey::new(reader.array()?),
            nonce: reader.array()?,
            expiry: reader.seconds()?,
            clock_offset: i32::from_be_bytes(reader.array()?),
            slot: SlotLength::new(reader.byte()?).map_err(|_| FrameError::Malformed)?,
            ways: Ways::read(reader.byte()?)?,
        };
        if u64::from(given.clock_offset.unsigned_abs()) > MOST_OFFSET { Err(FrameError::Malformed) } else { Ok(given) }
    }
}

/// Why there is no session: the words of version 1, in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It opened, and made no sense.
    InvalidRequest,
    /// Nobody is known by this key.
    NotEnrolled,
    /// Whoever it is may not open this lock, or not now.
    NoGrant,
    /// It asked too often.
    RateLimited,
    /// The invite is unknown, used or too old.
    InviteRefused,
    /// It is not the guest's fault.
    InternalError,
}

impl Why {
    const ALL: [(Self, u8); 6] = [
        (Self::InvalidRequest, 0x01),
        (Self::NotEnrolled, 0x02),
        (Self::NoGrant, 0x03),
        (Self::RateLimited, 0x04),
        (Self::InviteRefused, 0x05),
        (Self::InternalError, 0xff),
    ];
}

impl Answer {
    fn write(&self) -> Result<Zeroizing<Vec<u8>>, FrameError> {
        // As long as it gets, so that nothing of the key stays behind where it was before.
        let mut plain = Zeroizing::new(Vec::with_capacity(64));
        match self {
            Self::Given(given) => {
                plain.push(0);
                given.write(&mut plain)?;
            }
            Self::Refused(why) => plain.extend(Why::ALL.iter().filter(|(word, _)| word == why).map(|(_, byte)| *byte)),
        }
        Ok(plain)
    }

    fn read(plain: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(plain);
        let answer = match reader.byte()? {
            0 => Self::Given(Given::read(&mut reader)?),
            byte => Self::Refused(Why::ALL.iter().find(|(_, own)| *own == byte).ok_or(FrameError::Malformed)?.0),
        };
        reader.end().map(|()| answer)
    }
}

/// What a request begins with, which is authenticated along.
fn head(issuer: &Identity) -> [u8; 2 + KEY_ID] {
    let ([version, kind], [a, b, c, d]) = (Kind::Request.head(), issuer.key_id());
    [version, kind, a, b, c, d]
}

fn cipher(secret: &[u8; 28]) -> Result<(Aes128Gcm, [u8; 12]), FrameError> {
    let (Some(key), Some(nonce)) = (secret.first_chunk::<16>(), secret.last_chunk()) else { return Err(FrameError::Sealed) };
    Ok((Aes128Gcm::new(key.into()), *nonce))
}

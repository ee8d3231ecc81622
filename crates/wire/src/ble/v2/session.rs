//! A session, sealed for the lock and signed by the issuer.

use super::{
    FrameError,
    frame::{Kind, Reader, count, domain, split_signature},
    key::{Identity, Issuer, Lock, LockKey, sealing},
    provision::Given,
    short,
};
use crate::{
    Time,
    ble::{LockId, session::is_over, sign::Verify as _},
};
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// A session, as a lock has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockSession {
    /// What the guest has as well.
    pub given: Given,
    /// Whose it is: the first 10 bytes of SHA-256 of the guest's key.
    pub fingerprint: [u8; 10],
}

/// The message by which a lock gets a session. `random` is 32 bytes, used once.
pub fn seal_session(session: &LockSession, id: &LockId, lock: &LockKey, issuer: &Issuer, random: [u8; 32]) -> Result<Vec<u8>, FrameError> {
    let context = context(id, lock)?;
    // As long as it gets, so that nothing of the key stays behind where it was before.
    let mut plain = Zeroizing::new(Vec::with_capacity(64));
    session.given.write(&mut plain)?;
    plain.extend_from_slice(&session.fingerprint);
    let (enc, mut seal) = sealing(lock.as_bytes(), &domain("session", &[&context]), random)?;
    let head = Kind::Session.head();
    let sealed = seal.seal(&plain, &head).map_err(|_| FrameError::Sealed)?;
    let mut frame = [&head[..], &enc, &sealed].concat();
    let signature = issuer.signature(&domain("session", &[&context, &frame]));
    frame.extend_from_slice(&signature);
    Ok(frame)
}

/// The session of a message, as the lock `id` sees it. The signature is checked first.
pub fn open_session(frame: &[u8], id: &LockId, lock: &Lock, issuer: &Identity, now: Time) -> Result<LockSession, FrameError> {
    let (signed, signature) = split_signature(frame)?;
    let mut reader = Reader::of(Kind::Session, signed)?;
    let context = context(id, lock.key())?;
    if !issuer.verify(&domain("session", &[&context, signed]), signature) {
        return Err(FrameError::Signature);
    }
    let mut open = lock.opening(&reader.array()?, &domain("session", &[&context]))?;
    let plain = Zeroizing::new(open.open(reader.rest(), &Kind::Session.head()).map_err(|_| FrameError::Sealed)?);
    let mut reader = Reader::new(&plain);
    let session = LockSession { given: Given::read(&mut reader)?, fingerprint: reader.array()? };
    reader.end()?;
    if is_over(session.given.expiry, now) { Err(FrameError::Expired) } else { Ok(session) }
}

/// For which lock, and which key of it.
fn context(id: &LockId, lock: &LockKey) -> Result<Vec<u8>, FrameError> {
    let mut context = Vec::new();
    count(&mut context, short(id)?)?;
    context.extend_from_slice(lock.as_bytes());
    Ok(context)
}

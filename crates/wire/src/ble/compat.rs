//! RSA, as the original system has it: sessions that are encrypted with OAEP and signed with PSS.
//!
//! OAEP has SHA-256 for its hash and for MGF1, and no label. PSS has SHA-256, MGF1 with SHA-256, and the longest salt that fits
//! (222 bytes for 2048 bits). The original verifies shorter salts too; here they are refused, as the original never makes them.
//!
//! ```
//! use doorward_wire::{Time, ble::{compat::{Bits, PrivateKey, issue, open}, session::Session, token::{Nonce, SessionKey}}};
//!
//! let (issuer, lock) = (PrivateKey::generate(Bits::Rsa2048).unwrap(), PrivateKey::generate(Bits::Rsa2048).unwrap());
//! let session = Session { key: SessionKey::new([7; 32]), expiry: 300, nonce: Nonce::new([0; 8]), phone_mac: None, clock_offset: None };
//! let id = "lock_01".parse().unwrap();
//! let message = issue(&session, &id, lock.public(), &issuer).unwrap().write();
//! assert_eq!(open(message.as_bytes(), &lock, issuer.public(), &id, Time::from_micros(0)), Ok(session));
//! ```

mod key;

pub use key::{Bits, KeyError, MOST_BITS, PUBLISHED, PrivateKey, PublicKey, SealError};

use super::{
    LockId,
    request::{Encryption, Sealed},
    session::{self, LockMessage, OpenError, Session},
    token::SessionKey,
};
use crate::Time;
use alloc::{borrow::ToOwned as _, string::ToString as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The message by which a lock gets a session.
pub fn issue(session: &Session, id: &LockId, lock: &PublicKey, issuer: &PrivateKey) -> Result<LockMessage, SealError> {
    session.check().map_err(|_| SealError)?;
    let mut message = LockMessage {
        device_id: id.clone(),
        session_key: STANDARD.encode(lock.seal(session.key.expose())?),
        expiry: session.expiry,
        nonce: session.nonce.clone(),
        phone_mac: session.phone_mac.map(|mac| mac.to_string()),
        clock_offset: session.clock_offset,
        signature: None,
    };
    message.signature = Some(STANDARD.encode(issuer.sign_bytes(&message.signed_bytes())?));
    Ok(message)
}

/// The session of a message, as the lock `id` sees it.
///
/// The signature is checked before anything that it vouches for is looked at, and the key is decrypted last.
pub fn open(message: &[u8], lock: &PrivateKey, issuer: &PublicKey, id: &LockId, now: Time) -> Result<Session, OpenError> {
    let message = LockMessage::read(message)?;
    if !issuer.verify_bytes(&message.signed_bytes(), &message.signature()?) {
        return Err(OpenError::SignatureWrong);
    }
    if message.device_id != *id {
        return Err(OpenError::OtherLock);
    }
    session::check(message.expiry, message.clock_offset)?;
    if session::is_over(message.expiry, now) {
        return Err(OpenError::Expired);
    }
    let phone_mac = message.phone_mac.map(|mac| mac.parse()).transpose().map_err(|_| OpenError::Malformed)?;
    let sealed = STANDARD.decode(&message.session_key).map_err(|_| OpenError::Undecryptable)?;
    let key = lock.unseal(&sealed).ok_or(OpenError::Undecryptable)?;
    let key = SessionKey::new(key.as_slice().try_into().map_err(|_| OpenError::Undecryptable)?);
    Ok(Session { key, expiry: message.expiry, nonce: message.nonce, phone_mac, clock_offset: message.clock_offset })
}

/// What a guest is answered. It is called as it calls itself, or else as its key is called.
pub fn answer(session: &Session, client_id: Option<&str>, guest: &PublicKey, issuer: &PrivateKey) -> Result<Sealed, SealError> {
    session.check().map_err(|_| SealError)?;
    let json = session.guest_json();
    let fingerprint = guest.fingerprint();
    let client_id = client_id.unwrap_or(&fingerprint).to_owned();
    Ok(Sealed {
        key_fingerprint: (client_id != fingerprint).then_some(fingerprint),
        client_id,
        payload: STANDARD.encode(guest.seal(json.as_bytes())?),
        signature: STANDARD.encode(issuer.sign_bytes(json.as_bytes())?),
        encryption: Encryption::default(),
    })
}

/// The session that a guest was answered. The signature is over what was encrypted, byte for byte.
pub fn open_answer(sealed: &Sealed, guest: &PrivateKey, issuer: &PublicKey) -> Result<Session, OpenError> {
    if sealed.signature.is_empty() {
        return Err(OpenError::SignatureMissing);
    }
    let signature = STANDARD.decode(&sealed.signature).map_err(|_| OpenError::SignatureMalformed)?;
    let payload = STANDARD.decode(&sealed.payload).map_err(|_| OpenError::Undecryptable)?;
    let json = guest.unseal(&payload).ok_or(OpenError::Undecryptable)?;
    if issuer.verify_bytes(&json, &signature) { Session::read(&json) } else { Err(OpenError::SignatureWrong) }
}

#[cfg(test)]
mod tests;

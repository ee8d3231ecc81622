//! Passkeys, as the server that relies on them checks them: Web Authentication Level 3, sections 7.1 and 7.2, without
//! attestation. No IO and no clock: what was kept and what came in are arguments.
//!
//! The caller keeps three promises: a challenge was taken from its place before it comes here, so that it works once; a new
//! credential is kept only if nobody has it; what [`assert()`] gives is stored before anybody is let in.

use super::cbor::{Cbor, Malformed};
use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
    rsa::PublicKeyComponents,
    signature::{ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, de::IgnoredAny};
use std::borrow::Cow;

/// ECDSA over P-256 with SHA-256; Ed25519; RSA with SHA-256 (COSE registry). Offered in this order.
pub(crate) const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];
const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;

// Flags of authenticator data (section 6.1).
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const CREDENTIAL: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;

/// Why a passkey is not taken. The page says no more than that it did not work; this is for the log and for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not what the format says.
    #[error("it is not what the format says")]
    Malformed,
    /// It was made for something else.
    #[error("it was made for something else")]
    Type,
    /// The challenge is not the one that was given.
    #[error("the challenge is not the one that was given")]
    Challenge,
    /// It was made at another address.
    #[error("it was made at another address")]
    Origin,
    /// It was made in a page within another page.
    #[error("it was made in a page within another page")]
    CrossOrigin,
    /// It is for another name.
    #[error("it is for another name")]
    RpId,
    /// Nobody touched the authenticator.
    #[error("nobody touched the authenticator")]
    NotPresent,
    /// The authenticator did not ask who it is.
    #[error("the authenticator did not ask who it is")]
    NotVerified,
    /// What it says about copies cannot be.
    #[error("what it says about copies cannot be")]
    BackupState,
    /// There is no credential in it, or one where none belongs.
    #[error("there is no credential in it, or one where none belongs")]
    Credential,
    /// The credential's name has a length that cannot be.
    #[error("the credential's name has a length that cannot be")]
    CredentialId,
    /// It signs in a way that was not offered.
    #[error("it signs in a way that was not offered")]
    Algorithm,
    /// Its key cannot be one.
    #[error("its key cannot be one")]
    Key,
    /// It belongs to somebody else.
    #[error("it belongs to somebody else")]
    UserHandle,
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Signature,
    /// Its counter did not go up: there may be a copy of it.
    #[error("its counter did not go up: there may be a copy of it")]
    Counter,
}

impl From<Malformed> for Refusal {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// Where a passkey works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The name, without a port.
    pub rp_id: String,
    /// The addresses of its pages: scheme, name and port, compared whole.
    pub origins: Vec<String>,
}

/// A credential, as it was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its name, which the authenticator gave it.
    pub id: Vec<u8>,
    /// How it signs: a number of the COSE registry.
    pub alg: i64,
    /// The public key: an uncompressed point, 32 bytes, or the length of the exponent, exponent and modulus.
    pub key: Vec<u8>,
    /// How often it signed.
    pub signatures: u32,
    /// Whether it may be copied to other devices.
    pub backup_eligible: bool,
    /// Whether it was.
    pub backed_up: bool,
}

/// A credential that is kept, with its owner.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// Its name.
    pub id: &'a [u8],
    /// How it signs, as in [`Made`].
    pub alg: i64,
    /// Its public key, as in [`Made`].
    pub key: &'a [u8],
    /// How often it had signed when it was last used.
    pub signatures: u32,
    /// Whether it may be copied to other devices.
    pub backup_eligible: bool,
    /// How its owner is known to authenticators.
    pub user_handle: &'a [u8],
}

/// What a browser brings to sign in.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// The credential's name.
    pub id: &'a [u8],
    /// What the browser says about itself, as JSON.
    pub client_data: &'a [u8],
    /// What the authenticator says.
    pub authenticator_data: &'a [u8],
    /// Its signature over both.
    pub signature: &'a [u8],
    /// Needed: nobody typed a name before.
    pub user_handle: Option<&'a [u8]>,
}

/// What changes of a credential that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// How often it signed by now.
    pub signatures: u32,
    /// Whether it was copied to other devices.
    pub backed_up: bool,
}

/// Checks a new credential (section 7.1).
pub fn register(site: &Site, challenge: &[u8], client: &[u8], attestation: &[u8]) -> Result<Made, Refusal> {
    client_data(client, "webauthn.create", challenge, site)?;
    let mut object = Cbor::new(attestation);
    let mut data = None;
    for _ in 0..object.map()? {
        if object.text()? == b"authData" {
            if data.replace(object.bytes()?).is_some() {
                return Err(Refusal::Malformed);
            }
        } else {
            // A statement says who made the authenticator, which nobody here asks: passed over, whatever its format.
            object.skip()?;
        }
    }
    if !object.is_empty() {
        return Err(Refusal::Malformed);
    }
    let mut data = AuthenticatorData::read(data.ok_or(Refusal::Malformed)?, site)?;
    if !data.has(CREDENTIAL) {
        return Err(Refusal::Credential);
    }
    data.rest.take(16)?; // Which model it is.
    let length = u16::from_be_bytes(data.rest.array()?);
    // Section 5.1.3, and the least that CTAP makes.
    if !(16..=1023).contains(&length) {
        return Err(Refusal::CredentialId);
    }
    let id = data.rest.take(length.into())?.to_vec();
    let (alg, key) = cose_key(&mut data.rest)?;
    data.end()?;
    Ok(Made { id, alg, key, signatures: data.signatures, backup_eligible: data.has(BACKUP_ELIGIBLE), backed_up: data.has(BACKED_UP) })
}

/// Checks a sign-in with a credential that is kept (section 7.2).
pub fn assert(site: &Site, challenge: &[u8], given: &Assertion<'_>, kept: &Kept<'_>) -> Result<Used, Refusal> {
    if given.id != kept.id {
        return Err(Refusal::CredentialId);
    }
    if given.user_handle != Some(kept.user_handle) {
        return Err(Refusal::UserHandle);
    }
    client_data(given.client_data, "webauthn.get", challenge, site)?;
    let data = AuthenticatorData::read(given.authenticator_data, site)?;
    if data.has(CREDENTIAL) {
        return Err(Refusal::Credential);
    }
    if data.has(BACKUP_ELIGIBLE) != kept.backup_eligible {
        return Err(Refusal::BackupState);
    }
    let used = Used { signatures: data.signatures, backed_up: data.has(BACKED_UP) };
    data.end()?;
    let signed = [given.authenticator_data, digest(&SHA256, given.client_data).as_ref()].concat();
    verify(kept.alg, kept.key, &signed, given.signature)?;
    // Two zeros are of an authenticator that does not count, as of all that are copied between devices.
    if (used.signatures != 0 || kept.signatures != 0) && used.signatures <= kept.signatures {
        return Err(Refusal::Counter);
    }
    Ok(used)
}

/// What the browser says about itself (section 5.8.1). Members that are not known may be there, by the standard.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    challenge: Cow<'a, str>,
    #[serde(borrow)]
    origin: Cow<'a, str>,
    #[serde(default)]
    cross_origin: Option<bool>,
    #[serde(default)]
    top_origin: Option<IgnoredAny>,
}

fn client_data(json: &[u8], kind: &str, challenge: &[u8], site: &Site) -> Result<(), Refusal> {
    let client: ClientData<'_> = serde_json::from_slice(json).map_err(|_| Refusal::Malformed)?;
    if client.kind != kind {
        return Err(Refusal::Type);
    }
    let given = BASE64.decode(&*client.challenge).map_err(|_| Refusal::Challenge)?;
    verify_slices_are_equal(&given, challenge).map_err(|_| Refusal::Challenge)?;
    if !site.origins.iter().any(|origin| *origin == client.origin) {
        return Err(Refusal::Origin);
    }
    if client.cross_origin == Some(true) || client.top_origin.is_some() {
        return Err(Refusal::CrossOrigin);
    }
    Ok(())
}

/// What the authenticator signs (section 6.1), with what both ceremonies ask of it.
struct AuthenticatorData<'a> {
    flags: u8,
    signatures: u32,
    rest: Cbor<'a>,
}

impl<'a> AuthenticatorData<'a> {
    fn read(bytes: &'a [u8], site: &Site) -> Result<Self, Refusal> {
        let mut rest = Cbor::new(bytes);
        let hash = digest(&SHA256, site.rp_id.as_bytes());
        verify_slices_are_equal(rest.take(32)?, hash.as_ref()).map_err(|_| Refusal::RpId)?;
        let [flags] = rest.array()?;
        let data = Self { flags, signatures: u32::from_be_bytes(rest.array()?), rest };
        if !data.has(USER_PRESENT) {
            return Err(Refusal::NotPresent);
        }
        if !data.has(USER_VERIFIED) {
            return Err(Refusal::NotVerified);
        }
        if data.has(BACKED_UP) && !data.has(BACKUP_ELIGIBLE) {
            return Err(Refusal::BackupState);
        }
        Ok(data)
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Extensions are one map, and nothing comes after. doorward asks for none.
    fn end(&self) -> Result<(), Refusal> {
        let mut rest = self.rest;
        if self.has(EXTENSIONS) {
            rest.clone().map()?;
            rest.skip()?;
        }
        if rest.is_empty() { Ok(()) } else { Err(Refusal::Malformed) }
    }
}

/// Takes a public key off the input (RFC 9053, section 7; RFC 8230, section 4). Gives its algorithm, and the key as
/// [`verify`] takes it.
fn cose_key(cbor: &mut Cbor<'_>) -> Result<(i64, Vec<u8>), Refusal> {
    let (mut kind, mut alg, mut curve) = (0, 0, 0);
    let (mut first, mut second): (&[u8], &[u8]) = (&[], &[]);
    let mut last = None;
    for _ in 0..cbor.map()? {
        let label = cbor.int()?;
        // 1, 3, -1, -2, -3: the canonical order, which also keeps a label from coming twice.
        let order = (label < 0, label.unsigned_abs());
        if last >= Some(order) {
            return Err(Refusal::Malformed);
        }
        last = Some(order);
        match (label, kind) {
            (1, _) => kind = cbor.int()?,
            (3, _) => alg = cbor.int()?,
            (-1, 1 | 2) => curve = cbor.int()?,
            (-1, 3) | (-2, 1 | 2) => first = cbor.bytes()?,
            (-2, 3) | (-3, 2) => second = cbor.bytes()?,
            _ => return Err(Refusal::Key),
        }
    }
    let key = match (alg, kind, curve) {
        (ES256, 2, 1) if first.len() == 32 && second.len() == 32 => {
            let key = [&[4], first, second].concat();
            // Refuses what is no point of the curve.
            ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key).map_err(|_| Refusal::Key)?;
            key
        }
        (EDDSA, 1, 6) if first.len() == 32 => first.to_vec(),
        // 2048 to 4096 bits.
        (RS256, 3, 0) if (256..=512).contains(&first.len()) && first[0] >= 0x80 && (1..=4).contains(&second.len()) => {
            [&[u8::try_from(second.len()).unwrap_or_default()], second, first].concat()
        }
        (ES256 | EDDSA | RS256, ..) => return Err(Refusal::Key),
        _ => return Err(Refusal::Algorithm),
    };
    Ok((alg, key))
}

fn verify(alg: i64, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
    let parsed = |way| ParsedPublicKey::new(way, key).map_err(|_| Refusal::Key);
    let verified = match alg {
        ES256 => parsed(&ECDSA_P256_SHA256_ASN1)?.verify_sig(message, signature),
        EDDSA => parsed(&ED25519)?.verify_sig(message, signature),
        RS256 => {
            let (length, rest) = key.split_first().ok_or(Refusal::Key)?;
            let (e, n) = rest.split_at_checked((*length).into()).ok_or(Refusal::Key)?;
            PublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
        }
        _ => return Err(Refusal::Algorithm),
    };
    verified.map_err(|_| Refusal::Signature)
}

#[cfg(test)]
mod tests;

//! Keys: an issuer signs and opens requests, a lock opens sessions, a guest signs.

use super::{
    super::sign::{Algorithm, Sign, SignError, Verify},
    frame::FrameError,
};
use alloc::{string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use core::{convert::Infallible, fmt};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _,
    aead::{AeadCtxR, AeadCtxS, AesGcm128},
    kdf::HkdfSha256,
    kem::X25519HkdfSha256 as Kem,
    rand_core::{TryCryptoRng, TryRng},
    setup_receiver, setup_sender_with_rng,
};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of what says which issuer's key is meant.
pub const KEY_ID: usize = 4;

type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
pub(super) type Sealing = AeadCtxS<AesGcm128, HkdfSha256, Kem>;
pub(super) type Opening = AeadCtxR<AesGcm128, HkdfSha256, Kem>;

/// What everybody may know of an issuer. A guest has it from its enrolment, a lock from its installation, neither from the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    signing: VerifyingKey,
    sealing: [u8; 32],
}

impl Identity {
    /// Reads 64 bytes. `None` when they cannot be an issuer's.
    pub fn from_bytes(bytes: &[u8; 64]) -> Option<Self> {
        let (signing, sealing) = (bytes.first_chunk()?, bytes.last_chunk()?);
        let signing = VerifyingKey::from_bytes(signing).ok().filter(|key| !key.is_weak())?;
        Some(Self { signing, sealing: *sealing })
    }

    /// The key that signs, and the one to which is sealed.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let (signing, sealing) = bytes.split_at_mut(32);
        signing.copy_from_slice(self.signing.as_bytes());
        sealing.copy_from_slice(&self.sealing);
        bytes
    }

    /// Says which issuer's key is meant, and proves nothing.
    pub fn key_id(&self) -> [u8; KEY_ID] {
        let hash: [u8; 32] = Sha256::digest(self.to_bytes()).into();
        hash.first_chunk().copied().unwrap_or_default()
    }

    pub(super) const fn sealing(&self) -> &[u8; 32] {
        &self.sealing
    }
}

impl Verify for Identity {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        signature.try_into().is_ok_and(|signature| verify(&self.signing, bytes, signature))
    }
}

/// An issuer's private keys. They cannot be printed, and are wiped when they are dropped.
pub struct Issuer {
    signing: SigningKey,
    sealing: PrivateKey,
    identity: Identity,
}

impl Issuer {
    /// The keys that come of twice 32 random bytes, which are what is kept.
    pub fn from_seeds(signing: &[u8; 32], sealing: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(signing);
        let (private, public) = Kem::derive_keypair(sealing);
        let identity = Identity { signing: signing.verifying_key(), sealing: public.to_bytes().into() };
        Self { signing, sealing: private, identity }
    }

    /// What everybody may know.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn signature(&self, bytes: &[u8]) -> [u8; 64] {
        self.signing.sign(bytes).to_bytes()
    }

    pub(super) fn opening(&self, enc: &[u8; 32], info: &[u8]) -> Result<Opening, FrameError> {
        opening(&self.sealing, enc, info)
    }
}

impl Sign for Issuer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.signature(bytes).into())
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Issuer").field(&self.identity).finish()
    }
}

/// A guest's private key.
pub struct Guest(SigningKey);

impl Guest {
    /// The key that comes of 32 random bytes, which are what is kept.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half, by which rights go.
    pub fn key(&self) -> GuestKey {
        GuestKey(self.0.verifying_key())
    }

    pub(super) fn signature(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guest").field(&self.key()).finish()
    }
}

/// A guest's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestKey(VerifyingKey);

impl GuestKey {
    /// Reads 32 bytes. `None` when they are no key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The first 10 bytes of SHA-256 of the key.
    pub fn fingerprint(&self) -> [u8; 10] {
        let hash: [u8; 32] = Sha256::digest(self.as_bytes()).into();
        hash.first_chunk().copied().unwrap_or_default()
    }

    /// What the key is called: its fingerprint in base64url.
    pub fn name(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.fingerprint())
    }

    pub(super) fn verify(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        verify(&self.0, bytes, signature)
    }
}

/// A lock's private key.
pub struct Lock {
    private: PrivateKey,
    key: LockKey,
}

impl Lock {
    /// The key that comes of 32 random bytes, which are what is kept.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let (private, public) = Kem::derive_keypair(seed);
        Self { private, key: LockKey(public.to_bytes().into()) }
    }

    /// The public half.
    pub const fn key(&self) -> &LockKey {
        &self.key
    }

    pub(super) fn opening(&self, enc: &[u8; 32], info: &[u8]) -> Result<Opening, FrameError> {
        opening(&self.private, enc, info)
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lock").field(&self.key).finish()
    }
}

/// A lock's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LockKey([u8; 32]);

impl LockKey {
    /// Takes 32 bytes; every value is a key, and what is sealed to one that is none never opens.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// HPKE to a public key, with 32 random bytes for the key pair of this message.
pub(super) fn sealing(to: &[u8; 32], info: &[u8], random: [u8; 32]) -> Result<([u8; 32], Sealing), FrameError> {
    let to = <Kem as hpke::Kem>::PublicKey::from_bytes(to).map_err(|_| FrameError::Sealed)?;
    let (enc, context) = setup_sender_with_rng::<AesGcm128, HkdfSha256, Kem>(&OpModeS::Base, &to, info, &mut Once::new(random))
        .map_err(|_| FrameError::Sealed)?;
    Ok((enc.to_bytes().into(), context))
}

fn opening(key: &PrivateKey, enc: &[u8; 32], info: &[u8]) -> Result<Opening, FrameError> {
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(|_| FrameError::Sealed)?;
    setup_receiver::<AesGcm128, HkdfSha256, Kem>(&OpModeR::Base, key, &enc, info).map_err(|_| FrameError::Sealed)
}

fn verify(key: &VerifyingKey, bytes: &[u8], signature: &[u8; 64]) -> bool {
    key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok()
}

/// Dice that were thrown before: HPKE takes exactly 32 bytes for its key pair.
struct Once(Zeroizing<[u8; 32]>, usize);

impl Once {
    fn new(mut random: [u8; 32]) -> Self {
        let once = Self(Zeroizing::new(random), 0);
        random.zeroize();
        once
    }
}

impl TryRng for Once {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        // More would be the same dice twice, and must not go unseen.
        assert!(bytes.len() <= self.0.len() - self.1, "HPKE takes 32 random bytes");
        for (to, from) in bytes.iter_mut().zip(self.0.iter().skip(self.1)) {
            *to = *from;
        }
        self.1 += bytes.len();
        Ok(())
    }
}

impl TryCryptoRng for Once {}

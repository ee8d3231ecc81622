//! RSA keys as they lie on disk: PEM of PKCS#8 or PKCS#1, and of a `SubjectPublicKeyInfo`.

use super::super::sign::{Algorithm, Sign, SignError, Verify};
use alloc::{format, string::String, vec, vec::Vec};
use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    error::KeyRejected,
    rand::SystemRandom,
    rsa::{
        KeyPair, KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
        PublicEncryptingKey,
    },
    signature::{
        self, KeyPair as _, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, RsaParameters, RsaPssSaltLength, RsaSignatureEncoding,
        UnparsedPublicKey,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use core::{fmt, fmt::Write as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Bits of a key, at least.
const LEAST_BITS: usize = 2048;
/// Bits of a key, at most.
pub const MOST_BITS: usize = 8192;
/// Bytes of a PEM: a private key of 8192 bits has some 6400.
const MOST_PEM: usize = 16 << 10;

/// Keys that everybody has, since they are published in the original's repository: SHA-256 of their `SubjectPublicKeyInfo`.
/// `keys/backend_public.pem` and `keys/lock_01_public.pem` of <https://github.com/harshsoni-harsh/ble-locking-system>.
pub const PUBLISHED: [&str; 2] = [
    "3a198a731cc6e49d926562afa483a90680027019a4b90b239d9ea3261f7db196",
    "dc27abf8a86b13a0dd3d18a8ee6432123565b151dea1c5297515b234f146110a",
];

static SIGNS: RsaSignatureEncoding = RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
static VERIFIES: RsaParameters = RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

/// Why something is no key that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no PEM of the kind that is wanted.
    #[error("this is not a PEM of a {0}")]
    Pem(&'static str),
    /// It cannot be used without a password.
    #[error("the key is encrypted: take its password off first")]
    Encrypted,
    /// It is a PEM, but not of an RSA key.
    #[error("this is not an RSA key, or it is broken")]
    Rsa,
    /// Too short to be safe, or longer than anybody needs.
    #[error("an RSA key has {LEAST_BITS} to {MOST_BITS} bits")]
    Size,
    /// Everybody has it.
    #[error("this key is published in the repository of the original system: everybody has it")]
    Published,
    /// None could be made.
    #[error("the key could not be made")]
    Generate,
}

/// Something could not be encrypted or signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session could not be sealed")]
pub struct SealError;

/// How long a new key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// What the original has.
    Rsa2048,
    /// Longer.
    Rsa3072,
    /// Longest.
    Rsa4096,
}

/// A private key. It cannot be printed.
pub struct PrivateKey {
    pair: KeyPair,
    decrypts: OaepPrivateDecryptingKey,
    public: PublicKey,
}

impl PrivateKey {
    /// Makes a key, with the randomness of the library. Takes up to a second.
    pub fn generate(bits: Bits) -> Result<Self, KeyError> {
        let size = match bits {
            Bits::Rsa2048 => KeySize::Rsa2048,
            Bits::Rsa3072 => KeySize::Rsa3072,
            Bits::Rsa4096 => KeySize::Rsa4096,
        };
        Self::new(KeyPair::generate(size).map_err(|_| KeyError::Generate)?)
    }

    /// Reads a PEM: `PRIVATE KEY` (PKCS#8) or `RSA PRIVATE KEY` (PKCS#1).
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let pair = if let Some(der) = unwrap(text, "PRIVATE KEY") {
            KeyPair::from_pkcs8(&Zeroizing::new(der))
        } else if let Some(der) = unwrap(text, "RSA PRIVATE KEY") {
            KeyPair::from_der(&Zeroizing::new(der))
        } else {
            return Err(KeyError::Pem("private key"));
        };
        Self::new(pair.map_err(rejected)?)
    }

    /// The key as PKCS#8.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let der = der(&self.pair)?;
        Ok(Zeroizing::new(wrap(der.as_ref(), "PRIVATE KEY")))
    }

    /// Its public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign_bytes(&self, bytes: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&SIGNS, &SystemRandom::new(), bytes, &mut signature).map_err(|_| SealError)?;
        Ok(signature)
    }

    /// What was sealed for this key.
    pub(super) fn unseal(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut room = Zeroizing::new(vec![0; self.decrypts.min_output_size()]);
        let plain = self.decrypts.decrypt(&OAEP_SHA256_MGF1SHA256, sealed, &mut room, None).ok()?;
        Some(Zeroizing::new(plain.into()))
    }

    fn new(pair: KeyPair) -> Result<Self, KeyError> {
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| KeyError::Rsa)?;
        let public = PublicKey::from_der(public.as_ref())?;
        let decrypts = PrivateDecryptingKey::from_pkcs8(der(&pair)?.as_ref()).map_err(|_| KeyError::Rsa)?;
        let decrypts = OaepPrivateDecryptingKey::new(decrypts).map_err(|_| KeyError::Rsa)?;
        Ok(Self { pair, decrypts, public })
    }
}

fn der(pair: &KeyPair) -> Result<Pkcs8V1Der<'static>, KeyError> {
    pair.as_der().map_err(|_| KeyError::Rsa)
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.fingerprint())
    }
}

impl Sign for PrivateKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RsaPssSha256
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, SignError> {
        self.sign_bytes(bytes).map_err(|_| SignError)
    }
}

/// A public key.
pub struct PublicKey {
    encrypts: OaepPublicEncryptingKey,
    verifies: UnparsedPublicKey<Vec<u8>>,
    spki: Vec<u8>,
}

impl PublicKey {
    /// Reads a PEM: `PUBLIC KEY`.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_der(&unwrap(text, "PUBLIC KEY").ok_or(KeyError::Pem("public key"))?)
    }

    /// Reads the DER of a `SubjectPublicKeyInfo`.
    pub fn from_der(spki: &[u8]) -> Result<Self, KeyError> {
        let key = PublicEncryptingKey::from_der(spki).map_err(rejected)?;
        if !(LEAST_BITS..=MOST_BITS).contains(&key.key_size_bits()) {
            return Err(KeyError::Size);
        }
        let encrypts = OaepPublicEncryptingKey::new(key).map_err(|_| KeyError::Rsa)?;
        let key = Self { encrypts, verifies: UnparsedPublicKey::new(verifies(), spki.into()), spki: spki.into() };
        if is_published(&key, &PUBLISHED) { Err(KeyError::Published) } else { Ok(key) }
    }

    /// The key as PEM.
    pub fn to_pem(&self) -> String {
        wrap(&self.spki, "PUBLIC KEY")
    }

    /// Its bits.
    pub fn bits(&self) -> usize {
        self.encrypts.key_size_bits()
    }

    /// The DER of its `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// What the key is called: base64url of the first 10 bytes of SHA-256 of its `SubjectPublicKeyInfo`.
    pub fn fingerprint(&self) -> String {
        let hash: [u8; 32] = Sha256::digest(&self.spki).into();
        URL_SAFE_NO_PAD.encode(hash.first_chunk::<10>().copied().unwrap_or_default())
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`, in hex.
    pub fn spki_sha256(&self) -> String {
        Sha256::digest(&self.spki).iter().fold(String::new(), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Seals something short for the holder of the private key: 190 bytes with 2048 bits.
    pub(super) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut sealed = vec![0; self.encrypts.ciphertext_size()];
        self.encrypts.encrypt(&OAEP_SHA256_MGF1SHA256, plain, &mut sealed, None).map_err(|_| SealError)?;
        Ok(sealed)
    }

    pub(super) fn verify_bytes(&self, bytes: &[u8], signature: &[u8]) -> bool {
        self.verifies.verify(bytes, signature).is_ok()
    }
}

pub(super) fn is_published(key: &PublicKey, list: &[&str]) -> bool {
    list.contains(&key.spki_sha256().as_str())
}

fn rejected(why: KeyRejected) -> KeyError {
    if matches!(why.description_(), "TooSmall" | "TooLarge") { KeyError::Size } else { KeyError::Rsa }
}

fn verifies() -> &'static dyn signature::VerificationAlgorithm {
    &VERIFIES
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl Verify for PublicKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RsaPssSha256
    }

    fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        self.verify_bytes(bytes, signature)
    }
}

/// The DER within a PEM (RFC 7468) with this label.
fn unwrap(text: &str, label: &str) -> Option<Vec<u8>> {
    if text.len() > MOST_PEM {
        return None;
    }
    let after = text.split_once(&format!("-----BEGIN {label}-----"))?.1;
    let inside = after.split_once(&format!("-----END {label}-----"))?.0;
    let packed: Zeroizing<String> = Zeroizing::new(inside.chars().filter(|letter| !letter.is_ascii_whitespace()).collect());
    STANDARD.decode(packed.as_bytes()).ok()
}

fn wrap(der: &[u8], label: &str) -> String {
    let packed = Zeroizing::new(STANDARD.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, letter) in packed.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

//! The client's end: sealing a request, and opening what comes back.

use super::{
    CHUNK, OpenError, PUBLIC, SealError,
    credential::Credential,
    keys::PinnedConfig,
    mac_input,
    memory::{Inlet, Outlet, Reader, now},
    message::{Reading, Request, Response},
};
use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use futures_util::io::AsyncWriteExt;
use hpke::{
    Deserializable, Kem, OpModeS, Serializable,
    aead::{AeadCtxS, AesGcm128},
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    setup_sender,
};
use std::task::{Context, Poll, Waker};

/// What a whole request is sealed for (RFC 9458, section 4.3).
const INFO: &[u8] = b"message/bhttp request\0";
/// What the secret of a whole answer is for (RFC 9458, section 4.4).
const ANSWER: &[u8] = b"message/bhttp response";
/// Bytes of that secret, and of the nonce before an answer: the length of the key of AES-128-GCM.
const SECRET: usize = 16;

/// A client with a key of its own. It cannot be printed.
pub struct Client {
    config: PinnedConfig,
    key_id: String,
    key: [u8; 32],
}

impl Client {
    /// For the gateway of a configuration, with a key that is known there by its id.
    pub fn new(config: PinnedConfig, key_id: &str, key: [u8; 32]) -> Self {
        Self { config, key_id: key_id.to_owned(), key }
    }

    /// A request that is answered at once, and what opens the answer. The body is a JSON object with a `timestamp`.
    ///
    /// `hpke` seals it: `ohttp` does not tell `enc` before it seals, and the credential inside is over `enc`.
    pub fn seal(&self, method: &str, path: &str, body: &[u8]) -> Result<(Vec<u8>, Opener), SealError> {
        let header = self.config.header();
        let (enc, mut context) = sender(&self.config.public, &[INFO, &header].concat())?;
        let plain = self.request(&enc, method, path, body)?;
        let sealed = context.seal(&plain, b"").map_err(|_| SealError)?;
        let mut secret = [0; SECRET];
        context.export(ANSWER, &mut secret).map_err(|_| SealError)?;
        Ok(([&header[..], &enc, &sealed].concat(), Opener { enc, secret }))
    }

    /// A request that is answered in chunks, and what opens them.
    pub fn seal_chunked(&self, method: &str, path: &str, body: &[u8]) -> Result<(Vec<u8>, StreamOpener), SealError> {
        let request = ohttp::ClientRequest::from_config(&mut self.config.for_chunks()?).map_err(|_| SealError)?;
        let outlet = Outlet::default();
        let mut writer = request.encapsulate_stream(outlet.clone()).map_err(|_| SealError)?;
        // What comes out before anything was written is the header and `enc`.
        now(writer.flush()).ok_or(SealError)?;
        let mut sealed = outlet.take();
        let enc = *sealed.last_chunk().ok_or(SealError)?;
        let plain = self.request(&enc, method, path, body)?;
        now(writer.write_all(&plain)).ok_or(SealError)?;
        now(writer.close()).ok_or(SealError)?;
        sealed.append(&mut outlet.take());
        let inlet = Inlet::default();
        let reader: Reader = Box::pin(writer.response(inlet.clone()).map_err(|_| SealError)?);
        Ok((sealed, StreamOpener { reader, inlet, reading: Reading::default() }))
    }

    fn request(&self, enc: &[u8; PUBLIC], method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, SealError> {
        let input = mac_input(enc, method, path, body).ok_or(SealError)?;
        let credential = Credential::write(&self.key_id, &self.key, &input).ok_or(SealError)?;
        Request::write(method, path, &credential, body)
    }
}

/// Seals with AES-128-GCM for a key of X25519.
type Sender = AeadCtxS<AesGcm128, HkdfSha256, X25519HkdfSha256>;

fn sender(public: &[u8; PUBLIC], info: &[u8]) -> Result<([u8; PUBLIC], Sender), SealError> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).map_err(|_| SealError)?;
    let (enc, context) = setup_sender::<_, _, X25519HkdfSha256>(&OpModeS::Base, &public, info).map_err(|_| SealError)?;
    Ok((enc.to_bytes().into(), context))
}

/// Opens the answer to one request.
pub struct Opener {
    pub(super) enc: [u8; PUBLIC],
    pub(super) secret: [u8; SECRET],
}

impl Opener {
    /// Opens the answer.
    pub fn open(self, sealed: &[u8]) -> Result<Response, OpenError> {
        let (nonce, text) = sealed.split_first_chunk().ok_or(OpenError::Sealed)?;
        let (key, nonce) = answer_key(&self.enc, &self.secret, nonce).ok_or(OpenError::Sealed)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = key.open_in_place(nonce, Aad::empty(), &mut text).map_err(|_| OpenError::Sealed)?;
        Response::read(plain)
    }
}

/// Key and first nonce of an answer (RFC 9458, section 4.4).
pub(super) fn answer_key(enc: &[u8], secret: &[u8], nonce: &[u8; SECRET]) -> Option<(LessSafeKey, [u8; NONCE_LEN])> {
    let secret = Salt::new(HKDF_SHA256, &[enc, nonce].concat()).extract(secret);
    let key = UnboundKey::from(secret.expand(&[b"key"], &AES_128_GCM).ok()?);
    let mut nonce = [0; NONCE_LEN];
    secret.expand(&[b"nonce"], NonceLength).ok()?.fill(&mut nonce).ok()?;
    Some((LessSafeKey::new(key), nonce))
}

struct NonceLength;

impl KeyType for NonceLength {
    fn len(&self) -> usize {
        NONCE_LEN
    }
}

/// Opens the answer to one request while it comes.
pub struct StreamOpener {
    reader: Reader,
    inlet: Inlet,
    reading: Reading,
}

impl StreamOpener {
    /// Takes bytes as they came, however they were cut, and gives what they have of the body.
    pub fn push(&mut self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.inlet.push(sealed)?;
        let (plain, ended) = self.read()?;
        // Nothing ends before `end`, so this was a chunk without bytes, which is as good as none that opens.
        if ended { Err(OpenError::Sealed) } else { self.reading.push(&plain) }
    }

    /// The status, as soon as the head of the answer is there.
    pub fn status(&self) -> Option<u16> {
        self.reading.status
    }

    /// Nothing comes any more: gives what is left of the body, if nothing was cut off.
    pub fn end(mut self) -> Result<Vec<u8>, OpenError> {
        self.inlet.end();
        let (plain, ended) = self.read()?;
        let content = self.reading.push(&plain)?;
        if ended && self.reading.ended { Ok(content) } else { Err(OpenError::Malformed) }
    }

    /// What can be opened now, and whether the end was among it.
    fn read(&mut self) -> Result<(Vec<u8>, bool), OpenError> {
        let mut plain = Vec::new();
        let mut buffer = vec![0; CHUNK];
        loop {
            match self.reader.as_mut().poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
                Poll::Pending => return Ok((plain, false)),
                Poll::Ready(Ok(0)) => return Ok((plain, true)),
                Poll::Ready(Ok(length)) => plain.extend_from_slice(&buffer[..length]),
                Poll::Ready(Err(_)) => return Err(OpenError::Sealed),
            }
        }
    }
}

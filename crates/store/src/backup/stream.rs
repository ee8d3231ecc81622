//! A backup's seal: a passphrase, and chunks that can be neither changed, cut off, repeated nor swapped.
//!
//! ```text
//! DOORWARD-BACKUP-1\n  memory KiB u32  passes u32  lanes u32  salt 16  check 16      (big-endian)
//! chunk*               AES-256-GCM of 65536 bytes, the last one of 0 to 65536; each with its tag of 16
//! ```
//! Argon2id makes 64 bytes from passphrase and salt: the key, and what `check` is made from, so that a wrong passphrase is
//! told from a damaged file. The nonce of a chunk is its number (u64) after three zero bytes, then 1 for the last and 0
//! for others: the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015). The header is each chunk's associated
//! data.

use super::BackupError;
use crate::{dice, seal::aead, seal::same};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{
    aead::{Aad, LessSafeKey, NONCE_LEN, Nonce},
    hmac,
};
use doorward_core::Secret;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::{Zeroize, Zeroizing};

const MAGIC: &[u8] = b"DOORWARD-BACKUP-1\n";
const HEADER: usize = MAGIC.len() + 12 + 16 + 16;
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
/// RFC 9106, section 4, second recommendation, on one lane: 64 MiB, three passes.
const COST: Cost = Cost { memory: 64 << 10, passes: 3, lanes: 1 };
/// A file may ask for at most this much work before its passphrase is known to be right: 1 GiB.
const MOST: Cost = Cost { memory: 1 << 20, passes: 20, lanes: 16 };

#[derive(Clone, Copy)]
struct Cost {
    memory: u32,
    passes: u32,
    lanes: u32,
}

/// Seals what is written to it. What is not [`Self::finish`]ed is not a backup.
pub(super) struct Sealer<W> {
    out: W,
    header: Vec<u8>,
    key: LessSafeKey,
    number: u64,
    plain: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> Sealer<W> {
    pub(super) async fn new(mut out: W, passphrase: &Secret<String>) -> Result<Self, BackupError> {
        let salt: [u8; 16] = dice::bytes();
        let (key, check) = derive(passphrase, salt, COST).await?;
        let mut header = MAGIC.to_vec();
        for number in [COST.memory, COST.passes, COST.lanes] {
            header.extend_from_slice(&number.to_be_bytes());
        }
        header.extend_from_slice(&salt);
        header.extend_from_slice(&check);
        out.write_all(&header).await?;
        Ok(Self { out, header, key, number: 0, plain: Vec::with_capacity(CHUNK + TAG) })
    }

    /// Adds one line.
    pub(super) async fn line(&mut self, line: &impl serde::Serialize) -> Result<(), BackupError> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| io::Error::other(error.to_string()))?;
        bytes.push(b'\n');
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            if self.plain.len() == CHUNK {
                self.chunk(false).await?;
            }
            let (now, later) = rest.split_at(rest.len().min(CHUNK - self.plain.len()));
            self.plain.extend_from_slice(now);
            rest = later;
        }
        bytes.zeroize();
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<(), BackupError> {
        self.chunk(true).await?;
        self.out.flush().await?;
        Ok(())
    }

    async fn chunk(&mut self, last: bool) -> Result<(), BackupError> {
        let sealed = self.key.seal_in_place_append_tag(nonce(self.number, last), Aad::from(&self.header), &mut self.plain);
        sealed.map_err(|_| io::Error::other("a chunk could not be sealed"))?;
        self.out.write_all(&self.plain).await?;
        self.plain.clear();
        self.number += 1;
        Ok(())
    }
}

/// Opens a backup line by line. A line that it gives was sealed so; only [`None`] says that the backup is whole.
pub(super) struct Opener<R> {
    input: R,
    header: Vec<u8>,
    key: LessSafeKey,
    number: u64,
    /// The next sealed chunk, read ahead to know which one is the last.
    next: Vec<u8>,
    plain: Vec<u8>,
    read: usize,
    done: bool,
}

impl<R: AsyncRead + Unpin> Opener<R> {
    pub(super) async fn new(mut input: R, passphrase: &Secret<String>) -> Result<Self, BackupError> {
        let header = take(&mut input, HEADER).await?;
        if !header.starts_with(MAGIC) {
            return Err(BackupError::NotABackup);
        }
        let mut rest = header.get(MAGIC.len()..).unwrap_or_default();
        let short = || BackupError::Damaged("it ends within its header".into());
        let mut number = || split::<4>(&mut rest).map(u32::from_be_bytes).ok_or_else(short);
        let cost = Cost { memory: number()?, passes: number()?, lanes: number()? };
        let (salt, check) = (split::<16>(&mut rest).ok_or_else(short)?, split::<16>(&mut rest).ok_or_else(short)?);
        if cost.memory > MOST.memory || cost.passes > MOST.passes || cost.lanes > MOST.lanes {
            return Err(BackupError::Damaged("its header asks for an impossible amount of work".into()));
        }
        let (key, expected) = derive(passphrase, salt, cost).await?;
        if !same(&check, &expected) {
            return Err(BackupError::WrongPassphrase);
        }
        let next = take(&mut input, CHUNK + TAG).await?;
        Ok(Self { input, header, key, number: 0, next, plain: Vec::new(), read: 0, done: false })
    }

    /// The next line, or `None` at the end of a whole backup.
    pub(super) async fn line(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        let mut line = Vec::new();
        loop {
            let rest = self.plain.get(self.read..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                line.extend_from_slice(&rest[..end]);
                self.read += end + 1;
                return Ok(Some(line));
            }
            line.extend_from_slice(rest);
            if self.done {
                return if line.is_empty() { Ok(None) } else { Err(BackupError::Damaged("its last line has no end".into())) };
            }
            self.chunk().await?;
        }
    }

    async fn chunk(&mut self) -> Result<(), BackupError> {
        let after = if self.next.len() == CHUNK + TAG { take(&mut self.input, CHUNK + TAG).await? } else { Vec::new() };
        let last = after.is_empty();
        let mut chunk = std::mem::replace(&mut self.next, after);
        let opened = self.key.open_in_place(nonce(self.number, last), Aad::from(&self.header), &mut chunk);
        let length =
            opened.map_err(|_| BackupError::Damaged(format!("its part {} is changed, or the rest is missing", self.number + 1)))?.len();
        chunk.truncate(length);
        self.plain.zeroize();
        (self.plain, self.read, self.done) = (chunk, 0, last);
        self.number += 1;
        Ok(())
    }
}

/// Up to so many bytes: fewer at the end of the input only.
async fn take(input: &mut (impl AsyncRead + Unpin), most: usize) -> Result<Vec<u8>, BackupError> {
    let mut bytes = Vec::with_capacity(most);
    input.take(most as u64).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn split<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

/// The key of the chunks, and the check value of the header.
async fn derive(passphrase: &Secret<String>, salt: [u8; 16], cost: Cost) -> Result<(LessSafeKey, [u8; 16]), BackupError> {
    let passphrase = passphrase.clone();
    let derived = tokio::task::spawn_blocking(move || {
        let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(64)).ok()?;
        let mut out = Zeroizing::new([0; 64]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(passphrase.reveal().as_bytes(), &salt, &mut *out).ok()?;
        let (mut key, mut check) = ([0; 32], [0; 16]);
        key.copy_from_slice(&out[..32]);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &out[32..]), b"doorward backup check");
        check.copy_from_slice(&tag.as_ref()[..16]);
        Some((Secret::new(key), check))
    });
    let derived = derived.await.map_err(io::Error::other)?;
    let (key, check) = derived.ok_or_else(|| BackupError::Damaged("its header asks for impossible work".into()))?;
    Ok((aead(&key), check))
}

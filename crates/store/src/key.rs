//! The master key: what seals secrets, and what the audit is signed with (rule 5).

use crate::dice;
use aws_lc_rs::hmac;
use doorward_core::Secret;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// 32 random bytes that everything else is derived from. It is never shown; backups hold it, sealed with a passphrase.
///
/// ```
/// let key = doorward_store::MasterKey::from_bytes([7; 32]);
/// assert_eq!(format!("{key:?}"), "MasterKey(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey(Secret<[u8; 32]>);

/// Why a master key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Others may read it.
    #[error("{path} may be read by others (mode {mode:o}). Run: chmod 600 {path}")]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold 64 hex digits.
    #[error("{0} does not hold a master key (64 hex digits). Restore it from your backup; only if doorward never ran with it, delete it")]
    Malformed(PathBuf),
    /// Another key is there already.
    #[error("{0} holds another master key. Move it away, or restore into another folder")]
    Taken(PathBuf),
    /// It cannot be read or written.
    #[error("the master key {path} cannot be read or written: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl MasterKey {
    /// A key from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Reads the key from `<data>/master.key`, or makes it there at the first start. Only the owner may read that file.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match read(path, 0o077) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
        let key = Self::from_bytes(dice::bytes());
        match key.create(path) {
            // Another process was faster: its key counts.
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => read(path, 0o077),
            created => created.map(|()| key),
        }
    }

    /// Reads the key from a file that somebody else manages, such as a systemd credential. The group may read it:
    /// systemd grants its credentials through an access control list, which shows as group permissions.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        read(path, 0o037)
    }

    /// Writes the key to a new file and returns when it is on disk.
    pub(crate) fn create(&self, path: &Path) -> Result<(), KeyError> {
        let io = |source| KeyError::Io { path: path.into(), source };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        let mut text = zeroize::Zeroizing::new(String::with_capacity(65));
        text.push_str(&self.to_hex());
        text.push('\n');
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
    }

    /// A key for one purpose. Nothing of the master key or of another purpose follows from it.
    pub(crate) fn derive(&self, purpose: &str) -> Secret<[u8; 32]> {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.0.reveal()), format!("doorward 1 {purpose}").as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        Secret::new(key)
    }

    pub(crate) fn to_hex(&self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(hex(self.0.reveal()))
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        unhex(text).map(Self::from_bytes)
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

fn read(path: &Path, forbidden: u32) -> Result<MasterKey, KeyError> {
    let io = |source| KeyError::Io { path: path.into(), source };
    let file = File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(KeyError::TooOpen { path: path.into(), mode });
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.take(256)
        .read_to_string(&mut text)
        .map_err(|source| if source.kind() == io::ErrorKind::InvalidData { KeyError::Malformed(path.into()) } else { io(source) })?;
    MasterKey::from_hex(text.trim()).ok_or_else(|| KeyError::Malformed(path.into()))
}

/// Whether a file holds this key, another one, or is not there.
pub(crate) fn holds(path: &Path, key: &MasterKey) -> Result<Option<bool>, KeyError> {
    if !fs::exists(path).map_err(|source| KeyError::Io { path: path.into(), source })? {
        return Ok(None);
    }
    Ok(Some(read(path, 0o077)? == *key))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(text.get(pair * 2..pair * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

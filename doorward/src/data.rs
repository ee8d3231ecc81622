//! The data folder: one instance at a time.

use crate::failure::{Exit, Failure};
use doorward_store::MasterKey;
use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The data folder, held while the program runs.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) path: PathBuf,
    _lock: File,
}

/// Where data lives when nobody says: what systemd gives, else the user's own folder.
pub(crate) fn folder(named: Option<&Path>) -> PathBuf {
    if let Some(path) = named {
        return path.to_owned();
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("STATE_DIRECTORY")
        .or_else(|| variable("XDG_DATA_HOME").map(|path| path.join("doorward")))
        .or_else(|| variable("HOME").map(|path| path.join(".local/share/doorward")))
        .unwrap_or_else(|| PathBuf::from("/var/lib/doorward"))
}

pub(crate) fn socket(data: &Path) -> PathBuf {
    data.join("doorward.sock")
}

impl Data {
    /// Makes the folder, for its owner alone, and takes its lock.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Failure> {
        let wrong = |error: std::io::Error| {
            Failure::failed(format!("the data folder {} cannot be written: {error}", path.display()))
                .and("make it and give it to the user that doorward runs as, or name another with --data")
        };
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(wrong)?;
        }
        let mode = std::fs::metadata(&path).map_err(wrong)?.permissions().mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).map_err(wrong)?;
        }
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join("doorward.lock")).map_err(wrong)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Failure::new(Exit::Failed, format!("another doorward uses the data folder {}", path.display()))
                .and("stop it first, or name another folder with --data")
        })?;
        Ok(Self { path, _lock: lock })
    }

    /// The master key: from systemd's credentials, else from the folder; made when there is none.
    pub(crate) fn key(&self) -> Result<MasterKey, Failure> {
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join("master.key"));
        let key = match credential.filter(|path| path.exists()) {
            Some(path) => MasterKey::load(&path),
            None => MasterKey::load_or_create(&self.key_path()),
        };
        key.map_err(|error| Failure::failed(error.to_string()))
    }

    pub(crate) fn key_path(&self) -> PathBuf {
        self.path.join("master.key")
    }

    pub(crate) fn store_url(&self, url: &str) -> String {
        store_url(&self.path, url)
    }
}

/// `sqlite:` addresses are relative to the data folder.
pub(crate) fn store_url(folder: &Path, url: &str) -> String {
    match url.strip_prefix("sqlite:") {
        Some(file) if !Path::new(file).is_absolute() => format!("sqlite:{}", folder.join(file).display()),
        _ => url.to_owned(),
    }
}

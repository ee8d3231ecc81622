//! Keeping a simulator's state in one JSON file that is never half written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads `path`; `None` when it does not exist. A file that cannot be understood is an error rather than a
/// fresh start, so that nobody's state is thrown away silently.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
}

/// Replaces `path`: a new file beside it, flushed to the disk, then renamed.
pub(crate) fn save<T: Serialize>(path: &Path, state: &T) -> io::Result<()> {
    let fresh = path.with_extension("json.new");
    let bytes = serde_json::to_vec_pretty(state).map_err(io::Error::other)?;
    let mut file = File::create(&fresh)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&fresh, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

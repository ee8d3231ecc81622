//! Writes files whole or not at all, for their owner alone.

use super::{File, Folder, Mistakes, names::dated};
use doorward_wire::Time;
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

impl Folder {
    pub(super) fn failed(&self, name: &str, error: &io::Error) -> Mistakes {
        let file = if name == "." { self.path.display().to_string() } else { name.into() };
        Mistakes::one(file, error.to_string())
    }

    /// Makes the folder, if it is not there.
    pub(super) fn make_path(&self) -> Result<(), Mistakes> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(|error| self.failed(".", &error))
    }

    /// Writes a file that is not there yet.
    pub(super) fn add(&self, file: &File) -> Result<(), Mistakes> {
        let fresh = self.fresh(file)?;
        let added = fs::hard_link(&fresh, self.path.join(&file.name));
        // What was linked stays.
        let _ = fs::remove_file(&fresh);
        match added {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Mistakes::one(file.name.as_str(), "it is there already: rotate it, or remove it first"))
            }
            added => added.and_then(|()| self.sync()).map_err(|error| self.failed(&file.name, &error)),
        }
    }

    /// Writes a file over the one that is there.
    pub(super) fn replace(&self, file: &File) -> Result<(), Mistakes> {
        let fresh = self.fresh(file)?;
        let replaced = fs::rename(fresh, self.path.join(&file.name)).and_then(|()| self.sync());
        replaced.map_err(|error| self.failed(&file.name, &error))
    }

    /// Keeps a file under a date as well.
    pub(super) fn date(&self, name: &str, until: Time) -> Result<(), Mistakes> {
        match fs::hard_link(self.path.join(name), self.path.join(dated(name, until))) {
            // The public half can be missing, and the same second comes twice when it is done again at once.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => Ok(()),
            dated => dated.map_err(|error| self.failed(name, &error)),
        }
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), Mistakes> {
        fs::remove_file(self.path.join(name)).map_err(|error| self.failed(name, &error))
    }

    /// The file under another name, on disk.
    fn fresh(&self, file: &File) -> Result<PathBuf, Mistakes> {
        let path = self.path.join(format!(".{}.new", file.name));
        let written = (|| {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mode = if file.is_secret { 0o600 } else { 0o644 };
            let mut fresh = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            fresh.write_all(file.text.reveal().as_bytes())?;
            fresh.sync_all()
        })();
        written.map(|()| path).map_err(|error| self.failed(&file.name, &error))
    }

    /// What was renamed is so after a power cut as well.
    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }
}

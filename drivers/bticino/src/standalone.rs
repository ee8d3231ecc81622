//! What a driver needs of a house, for a program that has none.

use doorward_core::{
    Mono, Now, Secret,
    driver::{BoxFuture, Ctx, KeepError, Kept, Report, Stopwatch},
};
use doorward_wire::Time;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    fs::{DirBuilder, File, OpenOptions},
    io::AsyncWriteExt as _,
    sync::Mutex,
};

/// A [`Ctx`] without a house: the machine's clocks, its randomness, and values that are kept in memory or in a folder.
///
/// It must be used within a runtime of tokio.
pub struct Standalone {
    start: Instant,
    folder: Option<PathBuf>,
    /// Held while a file is written, so that one comes after the other.
    kept: Mutex<BTreeMap<String, Secret<Vec<u8>>>>,
    report: Box<dyn Fn(Report) + Send + Sync>,
}

impl Standalone {
    /// Keeps values for as long as it lives. A token that was renewed meanwhile is lost with it, and the vendor may not
    /// take the one before.
    pub fn in_memory() -> Self {
        Self::new(None)
    }

    /// Keeps values in a folder, one file each, which only this user can read. They are not sealed. The folder is made when
    /// the first value is kept, and belongs to one process at a time.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self::new(Some(folder.into()))
    }

    #[expect(clippy::disallowed_methods, reason = "a program without a house has no other clock")]
    fn new(folder: Option<PathBuf>) -> Self {
        Self { start: Instant::now(), folder, kept: Mutex::default(), report: Box::new(drop) }
    }

    /// Hears what the driver reports: bells, answers of gates, how the connections stand. It must not block.
    #[must_use]
    pub fn reporting(self, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        Self { report: Box::new(report), ..self }
    }
}

impl Ctx for Standalone {
    #[expect(clippy::disallowed_methods, reason = "a program without a house has no other clock")]
    fn now(&self) -> Now {
        // A clock that stands before 1970 is wrong, and so is every certificate then.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { utc: Time::default().plus(since), mono: Mono(self.start.elapsed()) }
    }

    fn stopwatch(&self) -> Stopwatch {
        let start = self.start;
        Arc::new(move || Mono(start.elapsed()))
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(span))
    }

    fn fill(&self, bytes: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "nothing can be done safely without randomness")]
        aws_lc_rs::rand::fill(bytes).expect("the system has a source of randomness");
    }

    fn keep<'a>(&'a self, key: &'a str, value: Secret<Vec<u8>>) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move {
            let mut kept = self.kept.lock().await;
            if let Some(folder) = &self.folder {
                write(&folder.join(key), value.reveal()).await.map_err(|error| KeepError(error.to_string()))?;
            }
            kept.insert(key.to_owned(), value);
            Ok(())
        })
    }

    fn kept<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, KeepError>> {
        Box::pin(async move {
            let kept = self.kept.lock().await;
            let (None, Some(folder)) = (kept.get(key), &self.folder) else { return Ok(kept.get(key).cloned()) };
            match tokio::fs::read(folder.join(key)).await {
                Ok(value) => Ok(Some(Secret::new(value))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(KeepError(error.to_string())),
            }
        })
    }

    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move {
            self.kept.lock().await.remove(key);
            let Some(folder) = &self.folder else { return Ok(()) };
            match tokio::fs::remove_file(folder.join(key)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(KeepError(error.to_string())),
                Ok(()) | Err(_) => Ok(()),
            }
        })
    }

    fn kept_under<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Kept, KeepError>> {
        Box::pin(async move {
            let mut keys: Vec<String> = self.kept.lock().await.keys().cloned().collect();
            if let Some(folder) = &self.folder {
                let failed = |error: io::Error| KeepError(error.to_string());
                let mut files = tokio::fs::read_dir(folder).await.map_err(failed)?;
                while let Some(file) = files.next_entry().await.map_err(failed)? {
                    keys.extend(file.file_name().into_string().ok());
                }
            }
            keys.retain(|key| key.starts_with(prefix));
            keys.sort_unstable();
            keys.dedup();
            let mut found = Vec::new();
            for key in keys {
                found.extend(self.kept(&key).await?.map(|value| (key, value)));
            }
            Ok(found)
        })
    }

    fn report(&self, report: Report) {
        (self.report)(report);
    }
}

/// Writes a file that only this user can read, in a folder that is made. It is there whole, or as it was before.
pub(crate) async fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).await?;
    let fresh = path.with_extension("new");
    // What an earlier run left there, or somebody put there, may be open to others, or lead elsewhere.
    match tokio::fs::remove_file(&fresh).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    tokio::fs::rename(&fresh, path).await?;
    File::open(folder).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn what_is_kept_in_a_folder_outlives_the_program_and_only_its_user_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("kept");
        let ctx = Standalone::in_folder(&folder);
        assert_eq!(ctx.kept("tokens").await, Ok(None));
        for value in ["one", "two"] {
            ctx.keep("tokens", Secret::new(value.into())).await.unwrap();
        }
        for ctx in [ctx, Standalone::in_folder(&folder)] {
            assert_eq!(ctx.kept("tokens").await, Ok(Some(Secret::new(b"two".to_vec()))));
        }
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("tokens"))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left there");
    }

    #[tokio::test]
    async fn what_was_left_in_the_way_neither_opens_a_file_to_others_nor_leads_it_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, fresh, elsewhere) = (folder.path().join("tokens"), folder.path().join("tokens.new"), folder.path().join("elsewhere"));
        std::fs::write(&elsewhere, "").unwrap();
        let left: [&dyn Fn(); 2] = [
            &|| {
                std::fs::write(&fresh, "left").unwrap();
                std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o644)).unwrap();
            },
            &|| std::os::unix::fs::symlink(&elsewhere, &fresh).unwrap(),
        ];
        for leave in left {
            leave();
            Standalone::in_folder(folder.path()).keep("tokens", Secret::new(b"x".to_vec())).await.unwrap();
            let kept = std::fs::symlink_metadata(&kept).unwrap();
            assert!(kept.is_file() && kept.permissions().mode() & 0o777 == 0o600);
            assert_eq!(std::fs::read(&elsewhere).unwrap(), b"");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let ctx = Standalone::in_folder(&file);
        assert!(ctx.keep("tokens", Secret::new(b"x".to_vec())).await.is_err());
        assert!(ctx.kept("tokens").await.is_err());
    }
}

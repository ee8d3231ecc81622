//! Files from beside the database: read into a backup, and put back where there may be others by now.

use doorward_core::Secret;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Bytes of one file.
const MOST_BYTES: u64 = 1 << 20;
/// Bytes of all of them, and how many they may be: a house with 5,000 locks has some 20,000 keys.
const MOST_BYTES_OF_ALL: usize = 64 << 20;
const MOST_FILES: usize = 40_000;

/// A file from beside the database. Those of a house hold keys and passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// What it is called in the backup, such as `ble/keys/backend_v2.secret`.
    pub name: String,
    /// What is in it.
    pub content: Secret<Vec<u8>>,
}

/// What became of a file that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is there, and was not before.
    New,
    /// It was there already, and is the same.
    Same,
    /// Another file has its name and was left alone; this one lies beside it, under this path.
    Aside(PathBuf),
}

impl Beside {
    /// Reads files and folders, each under its name in the backup: of a folder, the files that lie in it, but not those
    /// whose names begin with a dot. What is not there is left out; what cannot be read is an error that says so.
    pub fn gather(places: &[(String, PathBuf)]) -> Result<Vec<Self>, String> {
        let mut gathered = Vec::new();
        let mut size = 0;
        for (name, path) in places {
            for (name, path) in files_at(name, path)? {
                let Some(content) = read(&path)? else { continue };
                size += content.reveal().len();
                if gathered.len() == MOST_FILES || size > MOST_BYTES_OF_ALL {
                    let most = MOST_BYTES_OF_ALL >> 20;
                    return Err(format!(
                        "{} and what lies beside it are more than a backup takes ({MOST_FILES} files, {most} MiB)",
                        path.display()
                    ));
                }
                gathered.push(Self { name, content });
            }
        }
        Ok(gathered)
    }

    /// Writes it to this path, for its owner alone. A file that is there already stays as it is.
    pub fn put(&self, path: &Path) -> io::Result<Put> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Err(ErrorKind::InvalidInput.into()) };
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if read(path).is_ok_and(|there| there.as_ref() == Some(&self.content)) {
            return Ok(Put::Same);
        }
        let aside = path.with_file_name(format!("{}.restored", name.display()));
        self.write(&aside)?;
        // A link is never made over another file.
        let put = match fs::hard_link(&aside, path) {
            Ok(()) => fs::remove_file(&aside).map(|()| Put::New),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Aside(aside)),
            Err(error) => Err(error),
        };
        File::open(folder)?.sync_all()?;
        put
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(self.content.reveal())?;
        file.sync_all()
    }
}

/// The path itself, or the files in it.
fn files_at(name: &str, path: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    if !path.is_dir() {
        return Ok(vec![(name.into(), path.into())]);
    }
    let failed = |error: io::Error| unreadable(path, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)?.take(MOST_FILES + 1) {
        let entry = entry.map_err(failed)?;
        if let Some(file) = entry.file_name().to_str().filter(|file| !file.starts_with('.')) {
            files.push((format!("{name}/{file}"), entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

/// The content of a file; nothing when there is none, or it went away meanwhile.
fn read(path: &Path) -> Result<Option<Secret<Vec<u8>>>, String> {
    // Before it is opened: a pipe would wait for somebody who writes.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    }
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut content));
    let content = Secret::new(content);
    match read {
        Ok(_) if content.reveal().len() as u64 > MOST_BYTES => {
            Err(format!("{} is larger than what a backup takes of a file (1 MiB): move it elsewhere", path.display()))
        }
        Ok(_) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} belongs into the backup and cannot be read: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("doorward-beside-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn files_and_folders_are_gathered_and_put_back_beside_others() {
        let folder = scratch("put");
        let keys = folder.join("here/keys");
        fs::create_dir_all(keys.join("deeper")).unwrap();
        for (name, content) in [("b", "two"), ("a", "one"), (".c.new", "half"), ("deeper/d", "no")] {
            fs::write(keys.join(name), content).unwrap();
        }
        fs::write(folder.join("here/toml"), "[http]").unwrap();
        let place = |name: &str, path: &str| (name.to_owned(), folder.join(path));
        let places =
            [place("house.toml", "here/toml"), place("none", "here/none"), place("none/x", "here/toml/x"), place("keys", "here/keys")];
        let gathered = Beside::gather(&places).unwrap();
        let names: Vec<_> = gathered.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["house.toml", "keys/a", "keys/b"]);
        assert_eq!(gathered[2].content.reveal(), b"two");
        assert!(format!("{:?}", gathered[2]).ends_with("content: Secret(…) }"));

        let there = folder.join("there/keys");
        assert_eq!(gathered[1].put(&there.join("a")).unwrap(), Put::New);
        assert_eq!(gathered[1].put(&there.join("a")).unwrap(), Put::Same);
        assert_eq!(gathered[2].put(&there.join("a")).unwrap(), Put::Aside(there.join("a.restored")));
        assert_eq!(gathered[2].put(&there.join("a")).unwrap(), Put::Aside(there.join("a.restored")), "once more");
        assert_eq!(
            (fs::read_to_string(there.join("a")).unwrap(), fs::read_to_string(there.join("a.restored")).unwrap()),
            ("one".into(), "two".into())
        );
        fs::create_dir(there.join("b")).unwrap();
        assert_eq!(gathered[2].put(&there.join("b")).unwrap(), Put::Aside(there.join("b.restored")), "a folder has its name");
        for (path, mode) in [(&there, 0o700), (&there.join("a"), 0o600), (&there.join("a.restored"), 0o600)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_does_not_fit_a_backup_is_said() {
        let folder = scratch("large");
        let large = folder.join("large");
        File::create(&large).unwrap().set_len(MOST_BYTES + 1).unwrap();
        let error = Beside::gather(&[("large".into(), large.clone())]).unwrap_err();
        assert!(error.contains(&large.display().to_string()) && error.contains("1 MiB"), "{error}");
        for number in 0..=MOST_BYTES_OF_ALL as u64 / MOST_BYTES {
            File::create(folder.join(format!("{number}"))).unwrap().set_len(MOST_BYTES).unwrap();
        }
        fs::remove_file(large).unwrap();
        let error = Beside::gather(&[("all".into(), folder.clone())]).unwrap_err();
        assert!(error.contains("64 MiB"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}

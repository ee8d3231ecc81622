//! Reads a folder: all of it, or all that is wrong with it.

use super::{
    Contents, Folder, Former, Key, Mistake, Mistakes,
    format::{Format, V1, V2},
    names::{Half, Name, Role},
};
use doorward_core::Secret;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// Bytes of a file: a private key of 8192 bits has some 6400.
const MOST_BYTES: u64 = 16 << 10;
/// Files of a folder.
const MOST_FILES: usize = 20_000;
/// Who else than the owner.
const OTHERS: u32 = 0o077;

impl Folder {
    /// Reads all of it, or says all that is wrong. A folder that is not there yet has nothing in it.
    pub fn read(&self) -> Result<Contents, Mistakes> {
        let mut reading = Reading::default();
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(self.failed(".", &error)),
        };
        if metadata.permissions().mode() & OTHERS != 0 {
            reading.warn(".", "others than its owner can look into this folder: chmod 700");
        }
        for name in self.names()? {
            match Name::read(&name) {
                Some(read) => match self.text(&name) {
                    Ok((text, metadata)) => reading.file(name, read, text, &metadata),
                    Err(what) => reading.wrong(name, what),
                },
                None if Path::new(&name).extension().is_some_and(|end| end == "pem") => {
                    reading.warn(&name, "its name says of nobody's key that it is: it is not used");
                }
                None => {}
            }
        }
        let (v1, v2) = (reading.keys::<V1>(), reading.keys::<V2>());
        if reading.mistakes.is_empty() { Ok(Contents { v1, v2, warnings: reading.warnings }) } else { Err(Mistakes(reading.mistakes)) }
    }

    /// The names of its files, in order.
    pub(super) fn names(&self) -> Result<Vec<String>, Mistakes> {
        let entries = fs::read_dir(&self.path).map_err(|error| self.failed(".", &error))?;
        let names = entries.take(MOST_FILES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn text(&self, name: &str) -> Result<(Secret<String>, Metadata), String> {
        let io = |error: std::io::Error| format!("it cannot be read: {error}");
        let path = self.path.join(name);
        // Before it is opened: a pipe would wait for somebody who writes.
        if !fs::metadata(&path).map_err(io)?.is_file() {
            return Err("this is not a file".into());
        }
        let file = fs::File::open(path).map_err(io)?;
        let (metadata, mut bytes) = (file.metadata().map_err(io)?, Vec::new());
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err("it is longer than any key".into());
        }
        let text = String::from_utf8(bytes).map_err(|_| "it is not text")?;
        Ok((Secret::new(text), metadata))
    }
}

/// A half of a key, its file, and when it was replaced.
type Halves = BTreeMap<(Role, Half), (String, Secret<String>)>;

#[derive(Default)]
struct Reading {
    present: Halves,
    former: Vec<(Name, String, Secret<String>)>,
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
}

impl Reading {
    fn wrong(&mut self, file: impl Into<String>, what: impl Into<String>) {
        self.mistakes.push(Mistake { file: file.into(), what: what.into() });
    }

    fn warn(&mut self, file: &str, what: impl Into<String>) {
        self.warnings.push(Mistake { file: file.into(), what: what.into() });
    }

    fn file(&mut self, file: String, name: Name, text: Secret<String>, metadata: &Metadata) {
        if name.half.is_secret() && metadata.permissions().mode() & OTHERS != 0 {
            self.warn(&file, "others than its owner can read this secret: chmod 600");
        }
        if name.until.is_some() {
            self.former.push((name, file, text));
        } else {
            self.present.insert((name.role, name.half), (file, text));
        }
    }

    fn keys<F: Format>(&mut self) -> BTreeMap<Role, Key<F::Secret, F::Public>> {
        let (secret, public) = F::HALVES;
        let of_format = |half: Half| half == secret || half == public;
        let roles: BTreeSet<Role> = self.present.keys().filter(|(_, half)| of_format(*half)).map(|(role, _)| role.clone()).collect();
        let mut former = self.former::<F>();
        roles.into_iter().filter_map(|role| self.key::<F>(&role, &mut former).map(|key| (role, key))).collect()
    }

    fn key<F: Format>(&mut self, role: &Role, former: &mut Formers<F>) -> Option<Key<F::Secret, F::Public>> {
        let secret = self.present.remove(&(role.clone(), F::HALVES.0));
        let public = self.present.remove(&(role.clone(), F::HALVES.1));
        // Both are read before either is missed, so that all is said at once.
        let secret = secret.map(|(file, text)| self.half(file, F::secret(role, text.reveal())).ok_or(()));
        let public = public.map(|(file, text)| self.half(file, F::public(role, text.reveal())).ok_or(()));
        let (secret, public) = (secret.transpose().ok()?, public.transpose().ok()?);
        let mut of_role: Vec<_> = former.remove(role).unwrap_or_default().into_values().collect();
        of_role.sort_by_key(|former| std::cmp::Reverse(former.until));
        let public = match (&secret, public) {
            (None, public) => public?.1,
            (Some((file, secret)), public) => {
                let own = F::public_of(secret);
                let own = self.half(file.clone(), own)?.1;
                if let Some((file, public)) = public.filter(|(_, public)| *public != own) {
                    let is_former = of_role.iter().any(|former| former.public.as_ref() == Some(&public));
                    if !is_former {
                        self.wrong(file, "this public key does not belong to its private key: remove it, it is made anew of that one");
                        return None;
                    }
                    self.warn(file.as_str(), "this is the key before the present one, as a rotation was interrupted: rotate once more");
                }
                own
            }
        };
        Some(Key { secret: secret.map(|(_, secret)| secret), public, former: of_role })
    }

    fn half<T>(&mut self, file: String, read: Result<T, String>) -> Option<(String, T)> {
        match read {
            Ok(key) => Some((file, key)),
            Err(what) => {
                self.wrong(file, what);
                None
            }
        }
    }

    /// Those that were replaced. One that is not good any more does no harm, and is a warning.
    fn former<F: Format>(&mut self) -> Formers<F> {
        let mut formers = Formers::<F>::new();
        let (of_format, others) = std::mem::take(&mut self.former).into_iter().partition(|(name, ..)| {
            let (secret, public) = F::HALVES;
            name.half == secret || name.half == public
        });
        self.former = others;
        let of_format: Vec<(Name, String, Secret<String>)> = of_format;
        for (name, file, text) in of_format {
            let Some(until) = name.until else { continue };
            let of_role = formers.entry(name.role.clone()).or_default();
            let former = of_role.entry(until).or_insert(Former { until, secret: None, public: None });
            let read = if name.half.is_secret() {
                F::secret(&name.role, text.reveal()).map(|secret| former.secret = Some(secret))
            } else {
                F::public(&name.role, text.reveal()).map(|public| former.public = Some(public))
            };
            if let Err(what) = read {
                self.warn(&file, what);
            }
        }
        formers
    }
}

type Formers<F> = BTreeMap<Role, BTreeMap<doorward_wire::Time, Former<<F as Format>::Secret, <F as Format>::Public>>>;

//! Keys in a folder, as the original system lays them out, and those of version 2 beside them.
//!
//! | file | what |
//! |---|---|
//! | `backend_private.pem`, `backend_public.pem` | the issuer, RSA |
//! | `<lock id>_private.pem`, `<lock id>_public.pem` | a lock, RSA |
//! | `unlocker_private.pem`, `unlocker_<client>_public.pem`, … | a guest, RSA |
//! | `backend_v2.secret`, `<lock id>_v2.public`, `unlocker_<client>_v2.secret`, … | the same in version 2: one line that says what it is |
//! | any of them with `.20261128T020137Z` behind it | what was there until then |
//!
//! [`Folder::read`] reads all of it or says all that is wrong, by the names of the files. Nothing of a secret is ever in what it
//! says. All of this waits for the disk: it is for the start, and for the command line.
//!
//! ```
//! use doorward_ble::keys::Role;
//!
//! assert_eq!("unlocker_anna".parse(), Ok(Role::Guest(Some("anna".into()))));
//! assert_eq!(Role::Issuer.to_string(), "backend");
//! ```

mod format;
mod import;
mod names;
mod read;
mod write;

pub use format::{PublicV2, SecretV2};
pub use import::Imported;
pub use names::{Role, RoleError};

use crate::clock::Clock;
use doorward_wire::{
    Time,
    ble::{
        compat::{Bits, PrivateKey, PublicKey},
        v2::Identity,
    },
};
use format::{Format as _, V1, V2};
use names::Half;
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// A folder with keys.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// What is in a folder.
#[derive(Debug, Default)]
pub struct Contents {
    /// RSA.
    pub v1: BTreeMap<Role, Key<PrivateKey, PublicKey>>,
    /// Version 2.
    pub v2: BTreeMap<Role, Key<SecretV2, PublicV2>>,
    /// What works, and should not be so.
    pub warnings: Vec<Mistake>,
}

/// A key of somebody.
#[derive(Debug)]
pub struct Key<S, P> {
    /// The secret half, where it is here.
    pub secret: Option<S>,
    /// The public half.
    pub public: P,
    /// Those before it, the newest first.
    pub former: Vec<Former<S, P>>,
}

/// A key that was replaced.
#[derive(Debug)]
pub struct Former<S, P> {
    /// When it was.
    pub until: Time,
    /// The secret half, where it is here.
    pub secret: Option<S>,
    /// The public half, where it is here.
    pub public: Option<P>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Its name.
    pub file: String,
    /// What is wrong, and what a person can do.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

/// Everything that is wrong with a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

impl Mistakes {
    fn one(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self(vec![Mistake { file: file.into(), what: what.into() }])
    }
}

/// Which key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RSA of so many bits.
    V1(Bits),
    /// Version 2.
    V2,
}

impl Folder {
    /// The folder at this path, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes a key for who has none of this kind.
    pub fn create(&self, role: &Role, kind: Kind, clock: &dyn Clock) -> Result<(), Mistakes> {
        let (secret, public) = make(role, kind, clock)?;
        self.make_path()?;
        let there = self.names()?.into_iter().filter(|name| [&secret.name, &public.name].contains(&name));
        let there: Vec<_> = there.map(|file| Mistake { file, what: "it is there already: rotate it, or remove it first".into() }).collect();
        if !there.is_empty() {
            return Err(Mistakes(there));
        }
        self.add(&secret)?;
        self.add(&public)
    }

    /// Keeps the public key of an issuer, unless there is one of an issuer already.
    pub fn meet(&self, issuer: &Identity) -> Result<(), Mistakes> {
        let name = Half::PublicV2.name(&Role::Issuer);
        if self.names()?.contains(&name) {
            return Ok(());
        }
        let text = doorward_core::Secret::new(V2::write(&PublicV2::Issuer(*issuer)));
        self.add(&File { name, text, is_secret: false })
    }

    /// Puts a new key in place of the present one, which stays readable under the date of today. There is no moment without one,
    /// and a rotation that was interrupted can be done again.
    pub fn rotate(&self, role: &Role, kind: Kind, clock: &dyn Clock) -> Result<(), Mistakes> {
        let both = make(role, kind, clock)?;
        let now = clock.now().utc;
        self.date(&both.0.name, now)?;
        self.date(&both.1.name, now)?;
        self.replace(&both.0)?;
        self.replace(&both.1)
    }

    /// Removes keys that were replaced longer ago than this, and says which.
    pub fn tidy(&self, kept: Duration, now: Time) -> Result<Vec<String>, Mistakes> {
        let over: Vec<_> = self.names()?.into_iter().filter(|name| is_over(name, kept, now)).collect();
        for name in &over {
            self.remove(name)?;
        }
        Ok(over)
    }
}

/// A file that is to be written.
struct File {
    name: String,
    text: doorward_core::Secret<String>,
    is_secret: bool,
}

fn make(role: &Role, kind: Kind, clock: &dyn Clock) -> Result<(File, File), Mistakes> {
    match kind {
        Kind::V1(bits) => V1::make(role, bits),
        Kind::V2 => V2::make(role, clock),
    }
}

fn is_over(name: &str, kept: Duration, now: Time) -> bool {
    let until = names::Name::read(name).and_then(|name| name.until);
    until.is_some_and(|until| now.since(until) > kept)
}

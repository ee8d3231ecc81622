//! Takes over the keys of a folder of the original system.

use super::{
    File, Folder, Mistake, Mistakes, Role,
    format::{Format as _, V1},
};
use doorward_core::Secret;
use doorward_wire::ble::compat::PrivateKey;

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Whose keys.
    pub taken: Vec<Role>,
    /// Those that were here already, with the same key.
    pub known: Vec<Role>,
    /// What should not be so in the other folder.
    pub warnings: Vec<Mistake>,
}

impl Folder {
    /// Takes over every key of version 1 of another folder, PKCS#1 as PKCS#8, or none and says all that is wrong.
    pub fn import(&self, from: &Folder) -> Result<Imported, Mistakes> {
        let theirs = from.read()?;
        self.make_path()?;
        let ours = self.read()?;
        let (mut imported, mut files, mut mistakes) =
            (Imported { taken: Vec::new(), known: Vec::new(), warnings: theirs.warnings }, Vec::new(), Vec::new());
        for (role, key) in theirs.v1 {
            let own = ours.v1.get(&role);
            if own.is_some_and(|own| own.public != key.public) {
                let what = "another key of this name is here already: remove or rename one of them";
                mistakes.push(Mistake { file: V1::HALVES.1.name(&role), what: what.into() });
                continue;
            }
            let secret = key.secret.filter(|_| own.is_none_or(|own| own.secret.is_none()));
            if own.is_some() && secret.is_none() {
                imported.known.push(role);
                continue;
            }
            match secret.as_ref().map(PrivateKey::to_pem).transpose() {
                Ok(secret) => files.extend(secret.map(|pem| file(&role, true, pem.to_string()))),
                Err(why) => mistakes.push(Mistake { file: V1::HALVES.0.name(&role), what: why.to_string() }),
            }
            files.push(file(&role, false, key.public.to_pem()));
            imported.taken.push(role);
        }
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes));
        }
        files.iter().try_for_each(|file| self.replace(file))?;
        Ok(imported)
    }
}

fn file(role: &Role, is_secret: bool, text: String) -> File {
    let half = if is_secret { V1::HALVES.0 } else { V1::HALVES.1 };
    File { name: half.name(role), text: Secret::new(text), is_secret }
}

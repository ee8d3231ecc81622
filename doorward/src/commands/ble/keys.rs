//! `doorward ble keys …`: who has which key, and what is to be copied where.

use super::{Clock, contents, folder, mistakes};
use crate::{
    cli::{BleKeys, Global, KeyKind, KeysAt, RoleWord, Whose, Wires},
    failure::{Exit, Failure, Outcome},
    output,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_ble::{
    clock::Clock as _,
    keys::{Contents, Folder, Former, Kind, Mistakes, PublicV2, Role},
};
use doorward_wire::Time;
use serde_json::{Value, json};
use std::{fmt::Write as _, path::Path};

pub(super) fn run(global: &Global, verb: BleKeys) -> Outcome {
    match verb {
        BleKeys::Create { at, whose, kind } => create(global, &at, &whose, &kind),
        BleKeys::Import { at, from } => import(global, &at, &from),
        BleKeys::Rotate { at, whose, kind } => rotate(global, &at, &whose, &kind),
        BleKeys::List { at } => list(global, &at),
        BleKeys::Tidy { at, older } => {
            let clock = Clock::start();
            let gone = folder(global, &at).0.tidy(older, clock.now().utc).map_err(failed)?;
            if global.json {
                output::json(&gone);
            } else {
                for name in &gone {
                    output::line(&format!("removed {name}"));
                }
                output::line(&format!("{} removed.", files(gone.len())));
            }
            Ok(Exit::Done)
        }
    }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".into() } else { format!("{count} files") }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn failed(wrong: Mistakes) -> Failure {
    mistakes(&wrong, Exit::Failed)
}

fn role(whose: &Whose) -> Result<Role, Failure> {
    let named = |prefix: &str, name: &str| format!("{prefix}{name}").parse::<Role>().map_err(|why| Failure::usage(why.to_string()));
    match (whose.role, whose.name.as_deref()) {
        (RoleWord::Issuer, None) => Ok(Role::Issuer),
        (RoleWord::Issuer, Some(_)) => Err(Failure::usage("an issuer has no name: its files are called backend_…")),
        (RoleWord::Lock, None) => Err(Failure::usage("which lock? Write its name: doorward ble keys create lock front_door")),
        (RoleWord::Lock, Some(name)) => match named("", name)? {
            role @ Role::Lock(_) => Ok(role),
            Role::Issuer | Role::Guest(_) => Err(Failure::usage(format!("a lock cannot be called {name}: files of another role are"))),
        },
        (RoleWord::Guest, None) => Ok(Role::Guest(None)),
        (RoleWord::Guest, Some(name)) => named("unlocker_", name),
    }
}

/// Which kinds, by version.
fn kinds(kind: &KeyKind) -> Vec<Kind> {
    match kind.wire {
        Wires::One => vec![Kind::V1(kind.bits)],
        Wires::Two => vec![Kind::V2],
        Wires::Both => vec![Kind::V1(kind.bits), Kind::V2],
    }
}

fn has(there: &Contents, role: &Role, kind: Kind) -> bool {
    match kind {
        Kind::V1(_) => there.v1.contains_key(role),
        Kind::V2 => there.v2.contains_key(role),
    }
}

fn read(folder: &Folder, path: &Path) -> Result<Contents, Failure> {
    if path.is_dir() { folder.read().map_err(failed) } else { Ok(Contents::default()) }
}

fn create(global: &Global, at: &KeysAt, whose: &Whose, kind: &KeyKind) -> Outcome {
    let (role, (folder, path)) = (role(whose)?, folder(global, at));
    let there = read(&folder, &path)?;
    let missing: Vec<Kind> = kinds(kind).into_iter().filter(|kind| !has(&there, &role, *kind)).collect();
    if missing.is_empty() {
        let failure = Failure::failed(format!("there is a key of {role} already"));
        return Err(failure.and("rotate it: doorward ble keys rotate, or remove its files first"));
    }
    let clock = Clock::start();
    missing.iter().try_for_each(|kind| folder.create(&role, *kind, &clock)).map_err(failed)?;
    tell(global, &folder, &role, &path, ("made", &missing))
}

fn rotate(global: &Global, at: &KeysAt, whose: &Whose, kind: &KeyKind) -> Outcome {
    let (role, (folder, path)) = (role(whose)?, folder(global, at));
    let there = read(&folder, &path)?;
    let present: Vec<Kind> = kinds(kind).into_iter().filter(|kind| has(&there, &role, *kind)).collect();
    if present.is_empty() {
        return Err(Failure::failed(format!("there is no such key of {role}")).and("make it with doorward ble keys create"));
    }
    let clock = Clock::start();
    present.iter().try_for_each(|kind| folder.rotate(&role, *kind, &clock)).map_err(failed)?;
    tell(global, &folder, &role, &path, ("replaced", &present))
}

/// What there is now of these kinds, and what is to be copied where.
fn tell(global: &Global, folder: &Folder, role: &Role, path: &Path, (done, kinds): (&str, &[Kind])) -> Outcome {
    let rows = rows(&folder.read().map_err(failed)?);
    let of_kind = |wire: u8| kinds.iter().any(|kind| wire == if matches!(kind, Kind::V2) { 2 } else { 1 });
    let own: Vec<&Row> = rows.iter().filter(|row| row.role == *role && of_kind(row.wire)).collect();
    if global.json {
        output::json(&own.iter().map(|row| row.json()).collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    for row in own {
        output::line(&format!("{done}: {} in version {}, fingerprint {}", row.role, row.wire, row.fingerprint));
    }
    output::line(&format!("The files are in {}.", path.display()));
    output::line(&advice(role));
    Ok(Exit::Done)
}

fn advice(role: &Role) -> String {
    match role {
        Role::Issuer => "Copy backend_public.pem and backend_v2.public to every lock and guest. backend_private.pem and backend_v2.secret \
                         stay with the issuer."
            .into(),
        Role::Lock(id) => format!(
            "Copy {id}_private.pem and {id}_v2.secret to the lock's machine, beside backend_public.pem and backend_v2.public of its issuer. \
             The issuer keeps {id}_public.pem and {id}_v2.public; it does not need the secret ones."
        ),
        Role::Guest(_) => format!(
            "Copy {role}_private.pem and {role}_v2.secret to the guest, beside backend_public.pem and backend_v2.public of its issuer. \
             The issuer keeps {role}_public.pem and {role}_v2.public: who has these there may open. Remove them to take that back."
        ),
    }
}

fn import(global: &Global, at: &KeysAt, from: &Path) -> Outcome {
    let (folder, path) = folder(global, at);
    if !from.is_dir() {
        return Err(Failure::usage(format!("{} is no folder", from.display())).and("name the folder keys/ of the original system"));
    }
    let imported = folder.import(&Folder::new(from)).map_err(failed)?;
    for warning in &imported.warnings {
        output::warn(&format!("{}: {warning}", from.display()));
    }
    let names = |roles: &[Role]| roles.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (taken, known) = (names(&imported.taken), names(&imported.known));
    if global.json {
        output::json(&json!({ "taken": taken, "known": known }));
        return Ok(Exit::Done);
    }
    for (what, names) in [("taken over", taken), ("was here already", known)] {
        for name in names {
            output::line(&format!("{what}: {name}"));
        }
    }
    output::line(&format!("The files are in {}. The other folder was not changed.", path.display()));
    Ok(Exit::Done)
}

fn list(global: &Global, at: &KeysAt) -> Outcome {
    let rows = rows(&contents(global, at)?);
    if global.json {
        output::json(&rows.iter().map(Row::json).collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    let cells = |row: &Row| {
        let former = if row.former.is_empty() { "-".into() } else { row.former.len().to_string() };
        let kind = row.bits.map_or_else(|| "Ed25519, X25519".into(), |bits| format!("RSA {bits}"));
        let half = if row.secret { "secret and public" } else { "public" };
        vec![row.role.to_string(), row.wire.to_string(), kind, half.into(), former, row.fingerprint.clone()]
    };
    output::table(&["whose", "wire", "kind", "here", "former", "fingerprint"], &rows.iter().map(cells).collect::<Vec<_>>());
    Ok(Exit::Done)
}

/// A key, as it is listed.
struct Row {
    role: Role,
    wire: u8,
    bits: Option<usize>,
    secret: bool,
    former: Vec<Time>,
    fingerprint: String,
}

impl Row {
    fn json(&self) -> Value {
        let (kind, name) = match &self.role {
            Role::Issuer => ("issuer", None),
            Role::Lock(id) => ("lock", Some(id.to_string())),
            Role::Guest(name) => ("guest", name.clone()),
        };
        json!({ "role": kind, "name": name, "wire": self.wire, "bits": self.bits, "secret": self.secret, "former": self.former,
            "fingerprint": self.fingerprint })
    }
}

fn rows(all: &Contents) -> Vec<Row> {
    let v1 = all.v1.iter().map(|(role, key)| Row {
        role: role.clone(),
        wire: 1,
        bits: Some(key.public.bits()),
        secret: key.secret.is_some(),
        former: former(&key.former),
        fingerprint: key.public.fingerprint(),
    });
    let v2 = all.v2.iter().map(|(role, key)| Row {
        role: role.clone(),
        wire: 2,
        bits: None,
        secret: key.secret.is_some(),
        former: former(&key.former),
        fingerprint: name(&key.public),
    });
    let mut rows: Vec<Row> = v1.chain(v2).collect();
    rows.sort_by(|one, other| (&one.role, one.wire).cmp(&(&other.role, other.wire)));
    rows
}

fn former<S, P>(keys: &[Former<S, P>]) -> Vec<Time> {
    keys.iter().map(|key| key.until).collect()
}

/// What a key of version 2 is called, where the wire has a name for it; else how it begins.
fn name(key: &PublicV2) -> String {
    match key {
        PublicV2::Issuer(identity) => identity.key_id().iter().fold(String::new(), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
        PublicV2::Lock(key) => URL_SAFE_NO_PAD.encode(key.as_bytes().first_chunk::<10>().copied().unwrap_or_default()),
        PublicV2::Guest(key) => key.name(),
    }
}

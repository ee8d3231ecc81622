//! Phones that open locks by radio: their keys, the invites by which they bring them, and the sessions that they got.

use crate::{
    Store, StoreError,
    db::{Row, Tx, args},
    dice,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::{Secret, policy::Rights};
use doorward_wire::{Time, door::DoorId};

/// For whom a phone acts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PhoneOf {
    /// A person.
    Person(String),
    /// The holder of a pass.
    Pass(String),
}

/// A key of a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneKey {
    /// What it is known by: the fingerprint of the public key.
    pub fingerprint: String,
    /// For whom it acts.
    pub of: PhoneOf,
    /// The phone, for people.
    pub name: String,
    /// The public key, as it is encoded on the wire.
    pub public: Vec<u8>,
    /// When it was enrolled.
    pub created: Time,
    /// When it last got a session.
    pub used: Option<Time>,
}

/// A session that a phone got for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BleSession {
    /// What names it: its nonce as text.
    pub nonce: String,
    /// The door.
    pub door: DoorId,
    /// For whom the phone acts.
    pub of: PhoneOf,
    /// The phone's key.
    pub phone: String,
    /// When it was issued.
    pub issued: Time,
    /// When it ends.
    pub expires: Time,
    /// When it was taken back.
    pub revoked: Option<Time>,
    /// What the lock is told of it.
    pub told: LockTold,
}

/// What a lock is told of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockTold {
    /// What the lock is called on the wire.
    pub lock: String,
    /// Whether it is one of doorward's own.
    pub own: bool,
    /// The message. The key in it is sealed for the lock.
    pub message: Vec<u8>,
}

/// How a phone came to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrol {
    /// Its key is known.
    Known,
    /// It brings its key by an invite, which is used up.
    Invite(Secret<String>, PhoneKey),
}

impl PhoneOf {
    fn columns(&self) -> [Option<&str>; 2] {
        match self {
            Self::Person(id) => [Some(id), None],
            Self::Pass(id) => [None, Some(id)],
        }
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        match (row.get("person")?, row.get("pass")?) {
            (Some(person), _) => Ok(Self::Person(person)),
            (None, Some(pass)) => Ok(Self::Pass(pass)),
            (None, None) => Err(StoreError::corrupt("a phone of nobody")),
        }
    }
}

impl Store {
    /// Makes a one-time code by which a phone brings its key.
    pub async fn add_phone_invite(&self, of: &PhoneOf, expires: Time) -> Result<Secret<String>, StoreError> {
        let code = Secret::new(URL_SAFE_NO_PAD.encode(dice::bytes::<16>()));
        let [person, pass] = of.columns();
        let sql = "INSERT INTO phone_invites (mac, person, pass, expires_at) VALUES ($1, $2, $3, $4)";
        self.db().execute(sql, args![self.invite_code(&code), person, pass, expires]).await?;
        Ok(code)
    }

    /// For whom an invite is that nobody has used, before it ends. It is not used up by this.
    pub async fn phone_invite(&self, code: &Secret<String>, now: Time) -> Result<Option<PhoneOf>, StoreError> {
        let sql = "SELECT person, pass FROM phone_invites WHERE mac = $1 AND used_at IS NULL AND expires_at > $2";
        self.db().one(sql, args![self.invite_code(code), now]).await?.as_ref().map(PhoneOf::read).transpose()
    }

    /// Enrols a key; `false` when it is enrolled already, for whomever.
    pub async fn enrol_phone(&self, key: &PhoneKey) -> Result<bool, StoreError> {
        let mut tx = self.db().write().await?;
        let enrolled = enrol(&mut tx, key).await?;
        tx.commit().await?;
        Ok(enrolled)
    }

    /// A key that is enrolled.
    pub async fn phone(&self, fingerprint: &str) -> Result<Option<PhoneKey>, StoreError> {
        let sql = "SELECT fingerprint, person, pass, name, public, created_at, used_at FROM phone_keys WHERE fingerprint = $1";
        self.db().one(sql, args![fingerprint]).await?.as_ref().map(read_phone).transpose()
    }

    /// Every key, in the order in which they were enrolled.
    pub async fn phones(&self) -> Result<Vec<PhoneKey>, StoreError> {
        let sql = "SELECT fingerprint, person, pass, name, public, created_at, used_at FROM phone_keys ORDER BY created_at, fingerprint";
        self.db().all(sql, Vec::new()).await?.iter().map(read_phone).collect()
    }

    /// Forgets a key; `false` when there is none. Its sessions stand until they end or are taken back.
    pub async fn remove_phone(&self, fingerprint: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM phone_keys WHERE fingerprint = $1", args![fingerprint]).await? > 0)
    }

    /// Writes a session down, before the phone or the lock hears of it, and a key that comes with it. `false` when the invite
    /// was used up or ended meanwhile, or the key is somebody's already: then nothing is written.
    pub async fn add_ble_session(&self, session: &BleSession, by: &Enrol) -> Result<bool, StoreError> {
        let mut tx = self.db().write().await?;
        if let Enrol::Invite(code, key) = by {
            let sql = "UPDATE phone_invites SET used_at = $2 WHERE mac = $1 AND used_at IS NULL AND expires_at > $2 RETURNING person, pass";
            let of = tx.one(sql, args![self.invite_code(code), session.issued]).await?;
            let is_theirs = of.as_ref().map(PhoneOf::read).transpose()?.is_some_and(|of| of == session.of && of == key.of);
            if !is_theirs || !enrol(&mut tx, key).await? {
                return Ok(false);
            }
        }
        let [person, pass] = session.of.columns();
        let LockTold { lock, own, message } = &session.told;
        let sql = "INSERT INTO ble_sessions (nonce, door, person, pass, phone, issued_at, expires_at, lock, own, message) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let BleSession { nonce, door, phone, issued, expires, .. } = session;
        tx.execute(sql, args![nonce, door, person, pass, phone, *issued, *expires, lock, i64::from(*own), message.as_slice()]).await?;
        tx.execute("UPDATE phone_keys SET used_at = $2 WHERE fingerprint = $1", args![phone, *issued]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// One session.
    pub async fn ble_session(&self, nonce: &str) -> Result<Option<BleSession>, StoreError> {
        self.db().one(format!("{SESSION} WHERE nonce = $1"), args![nonce]).await?.as_ref().map(read_session).transpose()
    }

    /// Sessions that have not ended, the newest first; of one door, or of all.
    pub async fn ble_sessions(&self, door: Option<&DoorId>, now: Time) -> Result<Vec<BleSession>, StoreError> {
        let sql = format!("{SESSION} WHERE expires_at > $1 AND ($2 IS NULL OR door = $2) ORDER BY issued_at DESC, nonce");
        self.db().all(sql, args![now, door]).await?.iter().map(read_session).collect()
    }

    /// Takes a session back; `false` when it is, or there is none.
    pub async fn revoke_ble_session(&self, nonce: &str, now: Time) -> Result<bool, StoreError> {
        let sql = "UPDATE ble_sessions SET revoked_at = $2 WHERE nonce = $1 AND revoked_at IS NULL";
        Ok(self.db().execute(sql, args![nonce, now]).await? > 0)
    }

    /// What locks were told last of sessions that are taken back, by the name of the lock on the wire.
    pub async fn ble_revoked(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = self.db().all("SELECT lock, list FROM ble_revoked ORDER BY lock", Vec::new()).await?;
        rows.iter().map(|row| Ok((row.get("lock")?, row.get("list")?))).collect()
    }

    /// Keeps what a lock is told of sessions that are taken back, before it is told.
    pub async fn put_ble_revoked(&self, lock: &str, list: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO ble_revoked (lock, list) VALUES ($1, $2) ON CONFLICT (lock) DO UPDATE SET list = excluded.list";
        self.db().execute(sql, args![lock, list]).await.map(drop)
    }

    /// Removes sessions and invites that have ended. Gives how many sessions.
    pub async fn purge_ble(&self, now: Time) -> Result<u64, StoreError> {
        self.db().execute("DELETE FROM phone_invites WHERE used_at IS NOT NULL OR expires_at <= $1", args![now]).await?;
        self.db().execute("DELETE FROM ble_sessions WHERE expires_at <= $1", args![now]).await
    }

    /// What a phone may do at doors now, and its name for people; nothing when whoever it acts for is gone.
    pub async fn rights_of_phone(&self, of: &PhoneOf) -> Result<Option<(Rights, String)>, StoreError> {
        Ok(match of {
            PhoneOf::Person(id) => match self.person(id).await? {
                Some(person) => Some((self.rights_of(&person).await?, person.name)),
                None => None,
            },
            PhoneOf::Pass(id) => match self.pass(id).await? {
                Some(pass) => Some((self.rights_of_pass(&pass).await?, pass.name)),
                None => None,
            },
        })
    }

    fn invite_code(&self, code: &Secret<String>) -> Vec<u8> {
        self.keys().code("phone invite", code.reveal().as_bytes())
    }
}

const SESSION: &str = "SELECT nonce, door, person, pass, phone, issued_at, expires_at, revoked_at, lock, own, message FROM ble_sessions";

async fn enrol(tx: &mut Tx, key: &PhoneKey) -> Result<bool, StoreError> {
    let [person, pass] = key.of.columns();
    let sql = "INSERT INTO phone_keys (fingerprint, person, pass, name, public, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT DO NOTHING";
    let args = args![&key.fingerprint, person, pass, &key.name, key.public.as_slice(), key.created];
    Ok(tx.execute(sql, args).await? > 0)
}

fn read_phone(row: &Row) -> Result<PhoneKey, StoreError> {
    Ok(PhoneKey {
        fingerprint: row.get("fingerprint")?,
        of: PhoneOf::read(row)?,
        name: row.get("name")?,
        public: row.get("public")?,
        created: row.time("created_at")?,
        used: row.time_option("used_at")?,
    })
}

fn read_session(row: &Row) -> Result<BleSession, StoreError> {
    Ok(BleSession {
        nonce: row.get("nonce")?,
        door: row.parse("door")?,
        of: PhoneOf::read(row)?,
        phone: row.get("phone")?,
        issued: row.time("issued_at")?,
        expires: row.time("expires_at")?,
        revoked: row.time_option("revoked_at")?,
        told: LockTold { lock: row.get("lock")?, own: row.get::<i64>("own")? != 0, message: row.get("message")? },
    })
}

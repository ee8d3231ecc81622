//! The second factor of a password: the secret that a person's authenticator app has too, and recovery codes that stand in
//! for the app.

use crate::{Store, StoreError, db::args, dice};
use doorward_core::Secret;
use doorward_wire::Time;
use std::time::Duration;

/// Bytes of a secret: as many as HMAC-SHA-1 gives (RFC 4226, section 4, requirement 6).
const SECRET: usize = 20;
/// Recovery codes that are made at once.
const CODES: usize = 10;
/// Characters of a recovery code, of 32 each. 60 bits are few for a secret that doorward makes; whoever guesses needs the
/// password too, and has five tries in a quarter of an hour.
const CODE: usize = 12;
/// What it is made of: no letter that looks like a digit.
const LETTERS: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
/// Wrong codes in a row after which none is looked at for a while.
const TRIES: i64 = 5;
/// How long that is.
const BLOCKED: Duration = Duration::from_mins(15);

/// The second factor of a person, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// When it was confirmed and began to count.
    pub since: Time,
    /// How many recovery codes are left.
    pub recovery_codes: i64,
}

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It is right, and used up.
    App,
    /// It is a recovery code, and used up.
    Recovery,
    /// It is not, or was used before.
    Wrong,
    /// After too many wrong ones none is looked at until then.
    Blocked(Time),
    /// The person has no second factor.
    None,
}

impl Store {
    /// Makes the secret of a second factor, which counts for nothing until it is confirmed. One that counts stays: `None`.
    pub async fn begin_second_factor(&self, person: &str, now: Time) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
        let secret = Secret::new(dice::bytes::<SECRET>().to_vec());
        let sealed = self.keys().seal(&place(person), secret.reveal());
        let sql = "INSERT INTO second_factors (person, sealed, last_step, wrong, created_at) \
                   SELECT $1, $2, 0, 0, $3 WHERE EXISTS (SELECT 1 FROM people WHERE id = $1) \
                   ON CONFLICT (person) DO UPDATE SET sealed = excluded.sealed, last_step = 0, created_at = excluded.created_at \
                   WHERE second_factors.confirmed_at IS NULL";
        Ok((self.db().execute(sql, args![person, sealed, now]).await? > 0).then_some(secret))
    }

    /// The secret of a second factor that waits for its first code.
    pub async fn begun_second_factor(&self, person: &str) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
        let sql = "SELECT sealed FROM second_factors WHERE person = $1 AND confirmed_at IS NULL";
        let row = self.db().one(sql, args![person]).await?;
        row.map(|row| self.keys().open(&place(person), &row.get::<Vec<u8>>("sealed")?)).transpose()
    }

    /// The second factor of a person, if it counts.
    pub async fn second_factor(&self, person: &str) -> Result<Option<SecondFactor>, StoreError> {
        let sql = "SELECT confirmed_at, (SELECT COUNT(*) FROM recovery_codes WHERE person = $1 AND used_at IS NULL) AS codes \
                   FROM second_factors WHERE person = $1 AND confirmed_at IS NOT NULL";
        let Some(row) = self.db().one(sql, args![person]).await? else { return Ok(None) };
        Ok(Some(SecondFactor { since: row.time("confirmed_at")?, recovery_codes: row.get("codes")? }))
    }

    /// Lets a second factor count from now on: `step` is that of its first code. Gives its recovery codes, which are shown here
    /// and never again; `None` when nothing waits.
    pub async fn confirm_second_factor(&self, person: &str, step: i64, now: Time) -> Result<Option<Vec<Secret<String>>>, StoreError> {
        let codes: Vec<Secret<String>> = (0..CODES).map(|_| recovery_code()).collect();
        let mut tx = self.db().write().await?;
        let sql = "UPDATE second_factors SET confirmed_at = $2, last_step = $3, wrong = 0, not_until = NULL \
                   WHERE person = $1 AND confirmed_at IS NULL";
        if tx.execute(sql, args![person, now, step]).await? == 0 {
            return Ok(None);
        }
        tx.execute("DELETE FROM recovery_codes WHERE person = $1", args![person]).await?;
        let rows: Vec<_> = codes.iter().map(|code| args![self.recovery_mac(person, code.reveal()), person]).collect();
        tx.insert("recovery_codes", &["mac", "person"], &rows).await?;
        tx.commit().await?;
        Ok(Some(codes))
    }

    /// Looks at a code. `step` says for which step a secret gives it. Each code works once, also when two ask at the same time;
    /// each wrong one is counted before anybody hears of it.
    pub async fn try_second_factor(
        &self,
        person: &str,
        code: &Secret<String>,
        step: impl FnOnce(&Secret<Vec<u8>>) -> Option<i64>,
        now: Time,
    ) -> Result<Tried, StoreError> {
        let mut tx = self.db().write().await?;
        let lock = if tx.is_lite() { "" } else { " FOR UPDATE" };
        let sql =
            format!("SELECT sealed, last_step, wrong, not_until FROM second_factors WHERE person = $1 AND confirmed_at IS NOT NULL{lock}");
        let Some(row) = tx.one(sql, args![person]).await? else { return Ok(Tried::None) };
        if let Some(until) = row.time_option("not_until")?.filter(|until| now < *until) {
            return Ok(Tried::Blocked(until));
        }
        let secret = self.keys().open(&place(person), &row.get::<Vec<u8>>("sealed")?)?;
        let last: i64 = row.get("last_step")?;
        let fresh = step(&secret).filter(|step| *step > last);
        let sql = "UPDATE recovery_codes SET used_at = $2 WHERE mac = $1 AND used_at IS NULL";
        let tried = if fresh.is_some() {
            Tried::App
        } else if tx.execute(sql, args![self.recovery_mac(person, code.reveal()), now]).await? > 0 {
            Tried::Recovery
        } else {
            Tried::Wrong
        };
        let wrong = if tried == Tried::Wrong { row.get::<i64>("wrong")? + 1 } else { 0 };
        let blocked = (wrong >= TRIES).then(|| now.plus(BLOCKED));
        let wrong = if blocked.is_some() { 0 } else { wrong };
        let sql = "UPDATE second_factors SET last_step = $2, wrong = $3, not_until = $4 WHERE person = $1";
        tx.execute(sql, args![person, fresh.unwrap_or(last), wrong, blocked]).await?;
        tx.commit().await?;
        Ok(tried)
    }

    /// Removes a second factor with its recovery codes; `false` when none counts. One that waits for its first code goes too.
    pub async fn remove_second_factor(&self, person: &str) -> Result<bool, StoreError> {
        let counted = self.second_factor(person).await?.is_some();
        self.db().execute("DELETE FROM second_factors WHERE person = $1", args![person]).await?;
        Ok(counted)
    }

    /// Case, spaces and dashes are how people write, not what they write.
    fn recovery_mac(&self, person: &str, code: &str) -> Vec<u8> {
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        self.keys().code(&format!("recovery {person}"), code.as_bytes())
    }
}

/// A code in three groups of four.
fn recovery_code() -> Secret<String> {
    let mut code = String::with_capacity(CODE + 2);
    for (at, byte) in dice::bytes::<CODE>().into_iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32: each letter is as likely as any other.
        code.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    }
    Secret::new(code)
}

fn place(person: &str) -> String {
    format!("second_factors||{person}")
}

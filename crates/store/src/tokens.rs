//! API tokens and one-time sign-in links: secrets that doorward makes, shows once, and then knows only by a code (rule 5).

use crate::{
    Store, StoreError,
    db::{Row, args},
    dice,
    seal::same,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::{Secret, scope::Scope};
use doorward_wire::Time;
use std::time::Duration;

/// What a token begins with, so that secret scanners and people know it.
const PREFIX: &str = "dw_";
/// `last_used` is for people: to the minute is enough, and spares a commit for each request.
const USED_GRAIN: Duration = Duration::from_mins(1);

const SELECT: &str = "SELECT id, person, name, mac, scopes, created_at, expires_at, last_used_at FROM tokens";

/// A token that was found by its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Identifier, as events name it.
    pub id: String,
    /// The person whom it belongs to, if any.
    pub person: Option<String>,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// A token in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The token itself.
    pub token: Token,
    /// When it was made.
    pub created: Time,
    /// When it ends; `None` means never.
    pub expires: Option<Time>,
    /// When it was last used, to the minute.
    pub last_used: Option<Time>,
}

impl Store {
    /// Makes a token. Its secret, `dw_` and 43 characters (256 bits), is shown here and never again.
    pub async fn add_token(
        &self,
        person: Option<&str>,
        name: &str,
        scopes: &[Scope],
        expires: Option<Time>,
        now: Time,
    ) -> Result<(Token, Secret<String>), StoreError> {
        let secret = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(dice::bytes::<32>())));
        let token = Token { id: dice::uuid().to_string(), person: person.map(Into::into), name: name.into(), scopes: scopes.into() };
        let words = scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        self.db()
            .execute(
                "INSERT INTO tokens (id, person, name, mac, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                args![&token.id, person, name, self.token_code(&secret), words, now, expires],
            )
            .await?;
        Ok((token, secret))
    }

    /// The token of this secret, unless it has ended.
    pub async fn find_token(&self, secret: &Secret<String>, now: Time) -> Result<Option<Token>, StoreError> {
        if !secret.reveal().starts_with(PREFIX) || secret.reveal().len() != PREFIX.len() + 43 {
            return Ok(None);
        }
        let code = self.token_code(secret);
        let Some(row) = self.db().one(format!("{SELECT} WHERE mac = $1"), args![code.clone()]).await? else { return Ok(None) };
        let found = read(&row)?;
        if !same(&row.get::<Vec<u8>>("mac")?, &code) || found.expires.is_some_and(|expires| expires <= now) {
            return Ok(None);
        }
        if found.last_used.is_none_or(|used| now.since(used) >= USED_GRAIN) {
            // Nobody is turned away because this could not be written.
            let used = self.db().execute("UPDATE tokens SET last_used_at = $2 WHERE id = $1", args![&found.token.id, now]).await;
            if let Err(error) = used {
                tracing::warn!(%error, token = found.token.id, "the last use of a token could not be noted");
            }
        }
        Ok(Some(found.token))
    }

    /// Every token, in the order in which they were made.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY created_at, id"), Vec::new()).await?.iter().map(read).collect()
    }

    /// Removes a token; `false` when there is none.
    pub async fn remove_token(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM tokens WHERE id = $1", args![id]).await? > 0)
    }

    /// Makes a sign-in link that works once. Its secret is 43 characters (256 bits).
    pub async fn add_link(&self, person: &str, expires: Time) -> Result<Secret<String>, StoreError> {
        let secret = Secret::new(URL_SAFE_NO_PAD.encode(dice::bytes::<32>()));
        let sql = "INSERT INTO links (mac, person, expires_at) VALUES ($1, $2, $3)";
        self.db().execute(sql, args![self.link_code(&secret), person, expires]).await?;
        Ok(secret)
    }

    /// The person of a sign-in link, the first time that it is used and before it ends.
    pub async fn use_link(&self, secret: &Secret<String>, now: Time) -> Result<Option<String>, StoreError> {
        let mut tx = self.db().write().await?;
        let sql = "UPDATE links SET used_at = $2 WHERE mac = $1 AND used_at IS NULL AND expires_at > $2 RETURNING person";
        let row = tx.one(sql, args![self.link_code(secret), now]).await?;
        tx.commit().await?;
        row.map(|row| row.get("person")).transpose()
    }

    /// Removes links that were used or have ended. Gives how many.
    pub async fn purge_links(&self, now: Time) -> Result<u64, StoreError> {
        self.db().execute("DELETE FROM links WHERE used_at IS NOT NULL OR expires_at <= $1", args![now]).await
    }

    fn token_code(&self, secret: &Secret<String>) -> Vec<u8> {
        self.keys().code("token", secret.reveal().as_bytes())
    }

    fn link_code(&self, secret: &Secret<String>) -> Vec<u8> {
        self.keys().code("link", secret.reveal().as_bytes())
    }
}

fn read(row: &Row) -> Result<TokenRow, StoreError> {
    let words: String = row.get("scopes")?;
    Ok(TokenRow {
        token: Token {
            id: row.get("id")?,
            person: row.get("person")?,
            name: row.get("name")?,
            // A scope that this version does not know gives nothing.
            scopes: words.split_whitespace().filter_map(|word| word.parse().ok()).collect(),
        },
        created: row.time("created_at")?,
        expires: row.time_option("expires_at")?,
        last_used: row.time_option("last_used_at")?,
    })
}

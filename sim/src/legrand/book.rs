//! Who may ask: sign-ins under way, codes, access tokens and refresh tokens. Pure bookkeeping.

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// How long a sign-in page and an authorization code live.
const CODE_MS: u64 = 10 * 60 * 1000;

/// What happens to a refresh token when it is used. A new one is always given.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// The old one dies at once.
    AtOnce,
    /// The old one dies so many milliseconds later.
    After(u64),
    /// The old one dies when the new one is used.
    WhenNewIsUsed,
    /// The old one lives on.
    Never,
}

impl Default for Rotation {
    /// After a minute.
    fn default() -> Self {
        Self::After(60_000)
    }
}

/// What a client gets when it signs in or refreshes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tokens {
    /// Goes into `Authorization: Bearer …` and `UserToken`. A JWT whose payload names the person.
    pub access_token: String,
    /// Buys the next pair.
    pub refresh_token: String,
    /// How long the access token lives, in seconds.
    pub expires_in: u64,
}

/// Everything that was given out and still counts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Book {
    questions: Vec<Question>,
    permits: Vec<Permit>,
    access: Vec<Access>,
    refresh: Vec<Refresh>,
}

/// A person looks at the sign-in page.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) csrf: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) challenge: Option<String>,
    asked: u64,
}

/// What a page is asked with.
pub(crate) struct Asked {
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) challenge: Option<String>,
}

/// A code that was given and not yet exchanged.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Permit {
    code: String,
    pub(crate) oid: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
    given: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Access {
    token: String,
    oid: String,
    expires: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Refresh {
    token: String,
    oid: String,
    /// The one that it was bought with.
    heir_of: Option<String>,
    dies: Option<u64>,
}

/// What one person holds, for the state page.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HolderView {
    oid: String,
    access_tokens: usize,
    refresh_tokens: usize,
    /// When the newest access token ends, milliseconds since 1970.
    access_until: Option<u64>,
}

impl Book {
    /// Remembers a sign-in page until it is answered.
    pub(crate) fn ask(&mut self, asked: Asked, now: u64, dice: &mut Dice) -> Question {
        self.questions.retain(|question| question.asked + CODE_MS > now);
        let question = Question {
            id: dice.token("trans"),
            csrf: dice.token("csrf"),
            redirect_uri: asked.redirect_uri,
            state: asked.state,
            challenge: asked.challenge,
            asked: now,
        };
        self.questions.push(question.clone());
        question
    }

    /// The page with this id, as long as it is open.
    pub(crate) fn question(&self, id: &str, now: u64) -> Option<&Question> {
        self.questions.iter().find(|question| question.id == id && question.asked + CODE_MS > now)
    }

    /// Closes a page and gives a code for whoever signed in.
    pub(crate) fn answer(&mut self, id: &str, oid: &str, now: u64, dice: &mut Dice) -> Option<(Question, String)> {
        let question = self.close(id)?;
        self.permits.retain(|code| code.given + CODE_MS > now);
        let code = dice.token("code");
        self.permits.push(Permit {
            code: code.clone(),
            oid: oid.to_owned(),
            redirect_uri: question.redirect_uri.clone(),
            challenge: question.challenge.clone(),
            given: now,
        });
        Some((question, code))
    }

    /// Closes a page without an answer.
    pub(crate) fn close(&mut self, id: &str) -> Option<Question> {
        let found = self.questions.iter().position(|question| question.id == id)?;
        Some(self.questions.remove(found))
    }

    /// Uses a code up, even when what comes with it is wrong.
    pub(crate) fn exchange(&mut self, code: &str, now: u64) -> Option<Permit> {
        let found = self.permits.iter().position(|known| known.code == code)?;
        let permit = self.permits.remove(found);
        (permit.given + CODE_MS > now).then_some(permit)
    }

    /// The person whose refresh token this is, if it lives.
    pub(crate) fn refreshes(&self, token: &str, now: u64) -> Option<String> {
        let alive = |refresh: &&Refresh| refresh.token == token && refresh.dies.is_none_or(|dies| dies > now);
        self.refresh.iter().find(alive).map(|refresh| refresh.oid.clone())
    }

    /// Uses a refresh token, which [`Book::refreshes`] found alive: what becomes of it, and of the one before.
    pub(crate) fn used(&mut self, token: &str, rotation: Rotation, now: u64) {
        let heir_of = self.refresh.iter().find(|refresh| refresh.token == token).and_then(|refresh| refresh.heir_of.clone());
        for refresh in &mut self.refresh {
            let dies = match rotation {
                Rotation::AtOnce => (refresh.token == token).then_some(now),
                Rotation::After(ms) => (refresh.token == token).then(|| now.saturating_add(ms)),
                Rotation::WhenNewIsUsed => (Some(&refresh.token) == heir_of.as_ref()).then_some(now),
                Rotation::Never => None,
            };
            if let Some(dies) = dies {
                refresh.dies.get_or_insert(dies);
            }
        }
        self.refresh.retain(|refresh| refresh.dies.is_none_or(|dies| dies > now));
    }

    /// Gives a pair out. `used` is the refresh token that bought it.
    pub(crate) fn grant(&mut self, oid: &str, access: String, now: u64, expires_in: u64, used: Option<&str>, dice: &mut Dice) -> Tokens {
        self.access.retain(|access| access.expires > now);
        let expires = now.saturating_add(expires_in.saturating_mul(1000));
        self.access.push(Access { token: access.clone(), oid: oid.to_owned(), expires });
        let token = dice.token("refresh");
        self.refresh.push(Refresh { token: token.clone(), oid: oid.to_owned(), heir_of: used.map(str::to_owned), dies: None });
        Tokens { access_token: access, refresh_token: token, expires_in }
    }

    /// The person that an access token stands for.
    pub(crate) fn who(&self, token: &str, now: u64) -> Option<&str> {
        self.access.iter().find(|access| access.token == token && access.expires > now).map(|access| access.oid.as_str())
    }

    /// Kills every refresh token; access tokens live on.
    pub(crate) fn revoke(&mut self) {
        self.refresh.clear();
    }

    /// Kills every access token; refresh tokens live on.
    pub(crate) fn expire(&mut self) {
        self.access.clear();
    }

    pub(crate) fn view(&self, oid: &str) -> HolderView {
        let access = self.access.iter().filter(|access| access.oid == oid);
        HolderView {
            oid: oid.to_owned(),
            access_tokens: access.clone().count(),
            refresh_tokens: self.refresh.iter().filter(|refresh| refresh.oid == oid).count(),
            access_until: access.map(|access| access.expires).max(),
        }
    }
}

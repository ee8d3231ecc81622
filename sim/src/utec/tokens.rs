//! Who may ask: codes, access tokens and refresh tokens. Pure bookkeeping; the time is the cloud's own, which
//! a fault may have skewed.

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// How long an authorization code can be exchanged.
const CODE_MS: u64 = 10 * 60 * 1000;
/// How long an old refresh token still works after a rotation, in [`Rotation::Grace`].
const GRACE_MS: u64 = 60 * 1000;

/// What happens to a refresh token when it is used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// A new one is given; the old one works for another 60 s.
    #[default]
    Grace,
    /// A new one is given; the old one is dead at once.
    Strict,
    /// The same one is given again.
    Fixed,
}

/// What a client gets when it signs in or refreshes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tokens {
    /// Goes into `Authorization: Bearer …`.
    pub access_token: String,
    /// Buys the next pair.
    pub refresh_token: String,
    /// How long the access token lives, in seconds.
    pub expires_in: u64,
}

/// Everything that was given out and still counts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Book {
    next_account: u64,
    accounts: Vec<Account>,
    questions: Vec<Question>,
    permits: Vec<Permit>,
}

/// One sign-in and everything that came from it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Account {
    id: u64,
    access: Vec<Access>,
    refresh: Vec<Refresh>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Access {
    token: String,
    expires: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Refresh {
    token: String,
    /// Set once it was used in [`Rotation::Grace`].
    dies: Option<u64>,
}

/// A person looks at the page that asks whether doorward may.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Question {
    id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    asked: u64,
}

/// A code that was given and not yet exchanged.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Permit {
    code: String,
    redirect_uri: String,
    given: u64,
}

/// An account without its secrets, for the state page.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AccountView {
    id: u64,
    access_tokens: usize,
    refresh_tokens: usize,
    /// When its newest access token ends, milliseconds since 1970.
    access_until: Option<u64>,
}

impl Book {
    /// Remembers a question until it is answered; gives its id.
    pub(crate) fn ask(&mut self, redirect_uri: String, state: Option<String>, now: u64, dice: &mut Dice) -> String {
        self.questions.retain(|question| question.asked + CODE_MS > now);
        let id = dice.token("question");
        self.questions.push(Question { id: id.clone(), redirect_uri, state, asked: now });
        id
    }

    /// Takes an open question back. Each can be answered once.
    pub(crate) fn answered(&mut self, id: &str, now: u64) -> Option<Question> {
        let found = self.questions.iter().position(|question| question.id == id)?;
        let question = self.questions.remove(found);
        (question.asked + CODE_MS > now).then_some(question)
    }

    /// A code for whoever was allowed.
    pub(crate) fn code(&mut self, redirect_uri: String, now: u64, dice: &mut Dice) -> String {
        self.permits.retain(|code| code.given + CODE_MS > now);
        let code = dice.token("code");
        self.permits.push(Permit { code: code.clone(), redirect_uri, given: now });
        code
    }

    /// Uses a code up. `redirect_uri` must be the one of the question when it is given at all.
    pub(crate) fn exchange(&mut self, code: &str, redirect_uri: Option<&str>, now: u64) -> bool {
        let Some(found) = self.permits.iter().position(|known| known.code == code) else {
            return false;
        };
        let known = self.permits.remove(found);
        known.given + CODE_MS > now && redirect_uri.is_none_or(|uri| uri == known.redirect_uri)
    }

    /// Signs an account in.
    pub(crate) fn grant(&mut self, now: u64, expires_in: u64, dice: &mut Dice) -> Tokens {
        self.next_account += 1;
        let mut account = Account { id: self.next_account, access: Vec::new(), refresh: Vec::new() };
        let tokens = account.issue(now, expires_in, dice);
        self.accounts.push(account);
        tokens
    }

    /// Uses a refresh token; `None` when it is dead or was never given.
    pub(crate) fn refresh(&mut self, token: &str, rotation: Rotation, now: u64, expires_in: u64, dice: &mut Dice) -> Option<Tokens> {
        for account in &mut self.accounts {
            account.refresh.retain(|r| r.dies.is_none_or(|dies| dies > now));
            let Some(used) = account.refresh.iter().position(|r| r.token == token) else {
                continue;
            };
            account.access.retain(|access| access.expires > now);
            return Some(match rotation {
                Rotation::Fixed => {
                    Tokens { access_token: account.access_token(now, expires_in, dice), refresh_token: token.to_owned(), expires_in }
                }
                Rotation::Strict => {
                    account.refresh.remove(used);
                    account.issue(now, expires_in, dice)
                }
                Rotation::Grace => {
                    account.refresh[used].dies.get_or_insert(now + GRACE_MS);
                    account.issue(now, expires_in, dice)
                }
            });
        }
        None
    }

    /// The account that an access token stands for.
    pub(crate) fn who(&self, token: &str, now: u64) -> Option<u64> {
        let holds = |account: &&Account| {
            let mut access = account.access.iter();
            access.any(|access| access.token == token && access.expires > now)
        };
        self.accounts.iter().find(holds).map(|account| account.id)
    }

    /// Kills every refresh token; access tokens live on.
    pub(crate) fn revoke(&mut self) {
        self.accounts.iter_mut().for_each(|a| a.refresh.clear());
    }

    /// Kills every access token; refresh tokens live on.
    pub(crate) fn expire(&mut self) {
        self.accounts.iter_mut().for_each(|a| a.access.clear());
    }

    pub(crate) fn views(&self) -> Vec<AccountView> {
        let view = |account: &Account| AccountView {
            id: account.id,
            access_tokens: account.access.len(),
            refresh_tokens: account.refresh.len(),
            access_until: account.access.iter().map(|access| access.expires).max(),
        };
        self.accounts.iter().map(view).collect()
    }
}

impl Account {
    fn issue(&mut self, now: u64, expires_in: u64, dice: &mut Dice) -> Tokens {
        let refresh_token = dice.token("refresh");
        self.refresh.push(Refresh { token: refresh_token.clone(), dies: None });
        Tokens { access_token: self.access_token(now, expires_in, dice), refresh_token, expires_in }
    }

    fn access_token(&mut self, now: u64, expires_in: u64, dice: &mut Dice) -> String {
        let token = dice.token("access");
        self.access.push(Access { token: token.clone(), expires: now.saturating_add(expires_in.saturating_mul(1000)) });
        token
    }
}

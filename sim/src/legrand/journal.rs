//! What has been counted and noted since the start.

use std::collections::VecDeque;

use serde::Serialize;

use super::faults::On;

/// How many requests `/sim/requests` shows.
const REMEMBERED: usize = 500;

/// How often things happened since this start.
///
/// `login` to `other_sip` count requests on arrival, whatever became of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Requests to the pages of the sign-in.
    pub login: u64,
    /// Requests to the token endpoint.
    pub token: u64,
    /// Requests about plants.
    pub plants: u64,
    /// Requests about modules.
    pub modules: u64,
    /// Requests about consents.
    pub consents: u64,
    /// Requests for the list of SIP accounts.
    pub sip_accounts: u64,
    /// Requests to register a SIP account.
    pub sip_account: u64,
    /// Requests about push subscriptions.
    pub subscription: u64,
    /// Requests for the CA certificates.
    pub ca_certs: u64,
    /// Requests for a client certificate.
    pub client_certs: u64,
    /// Connections to the registrar.
    pub connect: u64,
    /// REGISTER.
    pub register: u64,
    /// MESSAGE.
    pub message: u64,
    /// Any other request over SIP.
    pub other_sip: u64,
    /// Codes exchanged and refreshes done.
    pub token_ok: u64,
    /// Codes and refresh tokens refused with `invalid_grant`.
    pub token_refused: u64,
    /// Answers with 401 over HTTP, real and by fault.
    pub unauthorized: u64,
    /// Requests over HTTP that no real cloud would take.
    pub malformed: u64,
    /// SIP accounts that were made.
    pub accounts_made: u64,
    /// Certificates that were issued.
    pub certificates_issued: u64,
    /// Requests for a certificate that were refused.
    pub certificates_refused: u64,
    /// Connections to the registrar that ended in the TLS handshake.
    pub handshakes_failed: u64,
    /// Requests answered with a challenge because they had no credentials.
    pub challenged: u64,
    /// Requests refused because their nonce, or its count, was stale.
    pub stale: u64,
    /// Requests with a digest that is wrong.
    pub wrong_passwords: u64,
    /// REGISTER that took effect.
    pub registered: u64,
    /// Commands that were passed on to an opener.
    pub commands_accepted: u64,
    /// Commands that were refused: the gate or the plant is gone, or nobody knows it.
    pub commands_refused: u64,
    /// SIP that no real registrar would take.
    pub sip_malformed: u64,
    /// Commands with a JSON id that was used before.
    pub repeated_json_ids: u64,
    /// Keep-alives over SIP.
    pub pings: u64,
    /// Bells that rang.
    pub rings: u64,
    /// Responses to nothing that was asked.
    pub stray_responses: u64,
    /// Requests that a fault struck.
    pub faults: u64,
}

impl Counters {
    pub(crate) fn arrived(&mut self, at: On) {
        let counter = match at {
            On::Login | On::Http => &mut self.login,
            On::Token => &mut self.token,
            On::Plants => &mut self.plants,
            On::Modules => &mut self.modules,
            On::Consents => &mut self.consents,
            On::SipAccounts => &mut self.sip_accounts,
            On::SipAccount => &mut self.sip_account,
            On::Subscription => &mut self.subscription,
            On::CaCerts => &mut self.ca_certs,
            On::ClientCerts => &mut self.client_certs,
            On::Connect => &mut self.connect,
            On::Register => &mut self.register,
            On::Message => &mut self.message,
            On::OtherSip | On::Sip | On::All => &mut self.other_sip,
            On::Bell => &mut self.rings,
        };
        *counter += 1;
    }
}

/// One line of `/sim/requests`. Only what is named here is ever written down: no header, no body.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    id: u64,
    /// Milliseconds since 1970.
    time: u64,
    method: String,
    /// The path without its query, or the URI of a request over SIP.
    path: String,
    /// Absent until it is answered.
    status: Option<u16>,
}

/// Names a line of the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogId(u64);

/// The last requests.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lines: VecDeque<Line>,
    count: u64,
}

impl Journal {
    pub(crate) fn note(&mut self, now: u64, method: &str, path: &str) -> LogId {
        if self.lines.len() >= REMEMBERED {
            self.lines.pop_front();
        }
        self.count += 1;
        self.lines.push_back(Line { id: self.count, time: now, method: method.to_owned(), path: path.to_owned(), status: None });
        LogId(self.count)
    }

    pub(crate) fn status(&mut self, LogId(id): LogId, status: u16) {
        let first = self.lines.front().map_or(0, |line| line.id);
        let line = id.checked_sub(first).and_then(|index| self.lines.get_mut(usize::try_from(index).ok()?));
        if let Some(line) = line {
            line.status = Some(status);
        }
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.iter().cloned().collect()
    }
}

//! The settings of an account: parsed once, with every mistake at once.

use crate::{
    about::FIELDS,
    sip::{Patience, line::Server},
};
use doorward_core::{
    Secret,
    driver::{Mistake, Settings},
};
use doorward_http::{Trust, settings::Reader};
use reqwest::Url;
use std::time::Duration;

/// Letters of a client's name, at most.
const LONGEST_NAME: usize = 60;

/// The settings of one account.
#[derive(Debug, Clone)]
pub struct Config {
    /// `Ocp-Apim-Subscription-Key`.
    pub subscription_key: Secret<String>,
    /// Under which the vendor lists this client.
    pub client_name: String,
    /// How long a bell rings here.
    pub patience: Patience,
    /// How long before its end a token is renewed.
    pub refresh_buffer: Duration,
    /// Where the sign-in is.
    pub login_url: Url,
    /// Where the API is.
    pub api_url: Url,
    /// Where the SIP server is.
    pub sip_server: Server,
    /// What follows on the identifier of a gateway.
    pub sip_domain: String,
    /// The vendor's directory.
    pub tenant: String,
    /// Its word for the sign-in.
    pub policy: String,
    /// The app.
    pub client_id: String,
    /// Where the app is sent after sign-in.
    pub redirect_url: String,
    /// What is asked for.
    pub scope: String,
    /// Whom to trust for sign-in and API beside the public authorities.
    pub trust: Trust,
    /// The SIP server itself, in place of the vendor's authority.
    pub pin_sha256: Option<[u8; 32]>,
}

impl Config {
    /// Reads settings, or says everything that is wrong with them.
    pub fn parse(settings: &Settings) -> Result<Self, Vec<Mistake>> {
        let mut read = Reader::new(settings, FIELDS, "BTicino");
        let subscription_key =
            read.secret("subscription_key", "is missing; find it at developer.legrand.com in your profile, under Subscriptions");
        let client_name = client_name(&mut read);
        let patience = match read.number("busy_after_seconds", 0, 60) {
            0 => Patience::default(),
            seconds => Patience { rings: Duration::from_secs(seconds), status: 486 },
        };
        let refresh_buffer = Duration::from_secs(60 * read.number("refresh_buffer_minutes", 1, 1440));
        let (login_url, api_url) = (base(&mut read, "login_url"), base(&mut read, "api_url"));
        let sip_server = sip_server(&mut read);
        let sip_domain = host(&mut read, "sip_domain");
        let tenant = segment(&mut read, "tenant");
        let policy = segment(&mut read, "policy");
        let client_id = read.text_or_default("client_id");
        let redirect_url = redirect_url(&mut read);
        let scope = read.text_or_default("scope");
        let trust = read.trust();
        match (subscription_key, login_url, api_url, sip_server) {
            (Some(subscription_key), Some(login_url), Some(api_url), Some(sip_server)) if read.is_content() => Ok(Self {
                subscription_key,
                client_name,
                patience,
                refresh_buffer,
                login_url,
                api_url,
                sip_server,
                sip_domain,
                tenant,
                policy,
                client_id,
                redirect_url,
                scope,
                // The pin is the SIP server's: sign-in and API are the public web.
                pin_sha256: trust.pin_sha256,
                trust: Trust { pin_sha256: None, ..trust },
            }),
            _ => Err(read.into_mistakes()),
        }
    }

    /// A page or endpoint of the sign-in: `authorize`, `token`.
    pub(crate) fn oauth_url(&self, what: &str) -> String {
        let base = self.login_url.as_str().trim_end_matches('/');
        format!("{base}/{}/oauth2/v2.0/{what}", self.tenant)
    }

    /// The SIP domain of a gateway.
    pub fn domain(&self, gateway: &str) -> String {
        format!("{gateway}.{}", self.sip_domain)
    }
}

fn base(read: &mut Reader<'_>, key: &str) -> Option<Url> {
    let text = read.text_or_default(key);
    read.base(key, &text)
}

fn client_name(read: &mut Reader<'_>) -> String {
    let name = read.text_or_default("client_name");
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        read.wrong("client_name", format!("must be one line of at most {LONGEST_NAME} letters"));
    }
    name
}

/// Part of a path or a query: without what would end it.
fn segment(read: &mut Reader<'_>, key: &str) -> String {
    let text = read.text_or_default(key);
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) || text.starts_with('.') {
        read.wrong(key, "may hold letters, digits, dots, hyphens and underscores alone");
    }
    text
}

fn host(read: &mut Reader<'_>, key: &str) -> String {
    let text = read.text_or_default(key);
    if !is_host(&text) {
        read.wrong(key, "is not the name of a host");
    }
    text
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.len() <= 253 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

fn sip_server(read: &mut Reader<'_>) -> Option<Server> {
    let text = read.text_or_default("sip_server");
    let server = text.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse().ok().filter(|port| *port != 0)?;
        is_host(host).then(|| Server { host: host.to_owned(), port })
    });
    if server.is_none() {
        read.wrong("sip_server", "must be a host and a port such as vdesip.bs.iotleg.com:5228");
    }
    server
}

fn redirect_url(read: &mut Reader<'_>) -> String {
    let text = read.text_or_default("redirect_url");
    if Url::parse(&text).is_err() {
        read.wrong("redirect_url", "is not an address");
    }
    text
}

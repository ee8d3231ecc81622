//! What we ask of the server: REGISTER and MESSAGE, signed by the newest challenge.

use super::{
    message::{Message, parameter},
    proof::Proof,
    rpc,
};
use crate::digest::Credentials;
use doorward_core::{Secret, driver::Ctx};
use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

/// As the vendor's apps write it.
const SUPPORTED: &str = "replaces, outbound, gruu, path";

/// Who we are to one gateway.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The SIP user and its password.
    pub who: Credentials,
    /// The domain of the gateway: `<gateway>.bs.iotleg.com`.
    pub domain: String,
    /// The server's name, without a port.
    pub server: String,
    /// What we call ourselves.
    pub agent: String,
}

impl Identity {
    fn address(&self) -> String {
        format!("sip:{}@{}", self.who.username, self.domain)
    }
}

/// Writes the requests of one connection.
pub(super) struct Requests {
    identity: Arc<Identity>,
    /// Our end.
    local: SocketAddr,
    registration: Registration,
    /// What the server wants to have proved.
    pub(super) proof: Proof,
}

/// The Call-ID and numbers of our registrations (RFC 3261, section 10.2.4).
#[derive(Debug)]
struct Registration {
    call_id: String,
    tag: String,
    cseq: u32,
}

impl Requests {
    pub(super) fn new(identity: Arc<Identity>, local: SocketAddr, ctx: &dyn Ctx) -> Self {
        let mut dice = Dice::throw(ctx);
        let registration = Registration { call_id: dice.next().to_owned(), tag: dice.next().to_owned(), cseq: 0 };
        Self { identity, local, registration, proof: Proof::default() }
    }

    /// Tells the server where we are; without time, that we go.
    pub(super) fn register(&mut self, expires: Duration, branch: &str, cnonce: &str) -> Message {
        self.registration.cseq += 1;
        let (address, uri) = (self.identity.address(), format!("sip:{}", self.identity.domain));
        let contact = format!("<sip:{}@{};transport=tls>;expires={}", self.identity.who.username, self.local, expires.as_secs());
        let request = Message::request("REGISTER", &uri)
            .with("Via", self.via(branch))
            .with("From", format!("<{address}>;tag={}", self.registration.tag))
            .with("To", format!("<{address}>"))
            .with("Call-ID", self.registration.call_id.as_str())
            .with("CSeq", format!("{} REGISTER", self.registration.cseq))
            .with("Contact", contact)
            .with("Max-Forwards", "70")
            .with("User-Agent", self.identity.agent.as_str())
            .with("Supported", SUPPORTED);
        self.signed(request, "REGISTER", &uri, cnonce)
    }

    /// Tells a gate to open.
    pub(super) fn open(&mut self, gate: &str, key: &str, branch: &str, dice: &mut Dice, ctx: &dyn Ctx) -> Message {
        let uri = format!("sip:diy@{}", self.identity.domain);
        let request = Message::request("MESSAGE", &uri)
            .with("Via", self.via(branch))
            .with("From", format!("<{}>;tag={}", self.identity.address(), dice.next()))
            // Without brackets, as the vendor's apps write it.
            .with("To", uri.as_str())
            .with("CSeq", "20 MESSAGE")
            .with("Call-ID", dice.next())
            .with("Max-Forwards", "70")
            .with("Route", format!("<sip:{};transport=tls;lr>", self.identity.server))
            .with("Supported", SUPPORTED)
            .with("Date", date(ctx))
            .with_body("text/plain", rpc::open(key, gate))
            .with("User-Agent", self.identity.agent.as_str());
        self.signed(request, "MESSAGE", &uri, dice.next())
    }

    fn via(&self, branch: &str) -> String {
        format!("SIP/2.0/TLS {};branch={branch};rport", self.local)
    }

    fn signed(&mut self, request: Message, method: &str, uri: &str, cnonce: &str) -> Message {
        match self.proof.answer(&self.identity.who, method, uri, cnonce) {
            Some((name, value)) => request.with(name, Secret::reveal(&value).as_str()),
            None => request,
        }
    }

    /// How long the server keeps our contact: of the contact, else of the field (RFC 3261, section 10.3).
    pub(super) fn granted(&self, response: &Message) -> Option<Duration> {
        let ours = format!("{};", self.local);
        let contacts = response.all("Contact").flat_map(|value| value.split(','));
        let mine = contacts.into_iter().find(|contact| contact.contains(&ours)).and_then(|contact| parameter(contact, "expires"));
        let seconds: u64 = mine.or_else(|| response.field("Expires"))?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

/// Random letters and digits for one request.
pub(super) struct Dice {
    text: String,
    at: usize,
}

impl Dice {
    pub(super) fn throw(ctx: &dyn Ctx) -> Self {
        let mut bytes = [0; 40];
        ctx.fill(&mut bytes);
        let text = bytes.iter().fold(String::with_capacity(80), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { text, at: 0 }
    }

    /// Sixteen digits.
    pub(super) fn next(&mut self) -> &str {
        let from = self.at;
        self.at = (from + 16) % 80;
        &self.text[from..from + 16]
    }

    /// A random number in decimal digits, which does not begin with 0.
    pub(super) fn number(&mut self) -> String {
        let number = u64::from_str_radix(self.next(), 16).unwrap_or_default();
        (100_000_000 + number % 900_000_000).to_string()
    }
}

/// An IMF-fixdate (RFC 9110, section 5.6.7), as `Date` is written.
fn date(ctx: &dyn Ctx) -> String {
    ctx.now().utc.timestamp().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

//! A door-entry system: an opening beside a bare round trip to the same Kamailio, many openings, a server that starts
//! again, and a thousand accounts.

#[path = "../../../drivers/bticino/tests/it/authority.rs"]
mod authority;
mod crowd;
#[allow(dead_code, reason = "the driver's tests ask more of it")]
#[path = "../../../drivers/bticino/tests/it/kamailio/server.rs"]
mod server;
#[path = "../../../drivers/bticino/tests/it/until.rs"]
mod until;

use super::{Figure, median, ms, open_store, told};
use authority::{DOMAIN, PASSWORD, USER};
use doorward_bticino::{
    digest::{Challenge, Credentials},
    sip::{
        line::{self, Server},
        rpc,
        tls::{ClientCertificate, Tls, Trust, fingerprint},
    },
};
use doorward_core::{
    Secret,
    driver::{Action, Ctx as _, Driver, Once, Settings, Target},
};
use doorward_engine::{AccountCtx, Clock, SystemClock};
use doorward_store::StoredAccount;
use doorward_wire::account::AccountId;
use serde_json::json;
use server::Kamailio;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    task::{JoinHandle, JoinSet},
};
use until::until;

/// Openings that are compared, and those before them that warm everything up.
const OPENINGS: usize = 500;
const WARM_UP: usize = 20;
/// Doors that are opened at once, and how often.
const DOORS: usize = 1_000;
const ROUNDS: usize = 9;
/// How often the server starts again.
const RESTARTS: usize = 10;

pub(super) async fn figures() -> Vec<Figure> {
    // A task of its own: the thread that waits for everything would be one more to wake at each step.
    let mut figures = tokio::spawn(one()).await.unwrap();
    figures.extend(crowd::figures().await);
    figures
}

/// One account at a Kamailio.
async fn one() -> Vec<Figure> {
    let kamailio = Kamailio::start().await;
    let (account, mut bare) = Account::start(&kamailio).await;
    let account = Arc::new(account);
    let figures = vec![told(opening(&account, &mut bare).await), told(openings(&account).await)];
    // The long log of the openings is not to be read again and again.
    drop((account, kamailio));
    let mut kamailio = Kamailio::start().await;
    let _account = Account::start(&kamailio).await;
    figures.into_iter().chain([told(restart(&mut kamailio).await)]).collect()
}

/// An opening, in turn with a bare round trip.
async fn opening(account: &Account, bare: &mut Bare) -> Figure {
    let (mut openings, mut bares) = (Vec::new(), Vec::new());
    for round in 0..OPENINGS + WARM_UP {
        let began = Instant::now();
        account.open(round % DOORS).await;
        let opening = began.elapsed();
        let bare = bare.round_trip().await;
        if round >= WARM_UP {
            openings.push(opening);
            bares.push(bare);
        }
    }
    let (opening, bare) = (median(&mut openings), median(&mut bares));
    let limit = bare + Duration::from_millis(5);
    Figure {
        what: "BTicino, opening on a warm connection",
        measured: ms(opening),
        limit: format!("{} (a bare SIP round trip: {})", ms(limit), ms(bare)),
        ratio: opening.as_secs_f64() / limit.as_secs_f64(),
    }
}

/// All doors at once, over the one connection.
async fn openings(account: &Arc<Account>) -> Figure {
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let mut opening = JoinSet::new();
        for door in 0..DOORS {
            let account = Arc::clone(account);
            opening.spawn(async move { account.open(door).await });
        }
        opening.join_all().await;
        rates.push(f64::from(u32::try_from(DOORS).unwrap()) / began.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let rate = rates[ROUNDS / 2];
    Figure {
        what: "BTicino, openings over one connection",
        measured: format!("{rate:.0}/s"),
        limit: "1,000/s".into(),
        ratio: 1_000.0 / rate,
    }
}

/// From when the server serves again until it knows where the account is.
async fn restart(kamailio: &mut Kamailio) -> Figure {
    let mut slowest = Duration::ZERO;
    for round in 1..=RESTARTS {
        kamailio.restart().await;
        let began = Instant::now();
        until("it is registered again", || kamailio.count("registered") == round + 1).await;
        slowest = slowest.max(began.elapsed());
    }
    Figure {
        what: "BTicino, registered again after a restart of the server",
        measured: ms(slowest),
        limit: "2,000 ms".into(),
        ratio: slowest.as_secs_f64() / 2.0,
    }
}

/// An account whose connection is kept warm, in a house that is no more than a clock and a store.
struct Account {
    ctx: Arc<AccountCtx>,
    driver: Arc<dyn Driver>,
    watch: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Account {
    /// Takes over what an older client was given, and registers. It is not signed in: the API is asked for nothing.
    async fn start(kamailio: &Kamailio) -> (Self, Bare) {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = open_store(folder.path(), &*clock).await;
        let id: AccountId = "bticino".parse().unwrap();
        let row = StoredAccount {
            id: id.clone(),
            kind: "bticino".into(),
            name: "BTicino".into(),
            settings: Settings::default(),
            managed: false,
            created: clock.now().utc,
        };
        store.add_account(&row).await.unwrap();
        let ctx = Arc::new(AccountCtx::alone(id, clock, store));
        let bare = Bare::connect(&ctx, kamailio).await;
        let mut settings = Settings::default();
        for (key, value) in [("sip_server", format!("127.0.0.1:{}", kamailio.tls)), ("pin_sha256", bare.server.replace(':', ""))] {
            settings.values.insert(key.into(), json!(value));
        }
        settings.secrets.insert("subscription_key".into(), "none".into());
        let driver = (doorward_bticino::ENTRY.build)(&settings).unwrap();
        let (oid, client_id) = USER.split_once('_').unwrap();
        let sip_account = json!({ "sipUri": format!("{USER}@{DOMAIN}"), "clientId": client_id, "userOid": oid, "sipPassword": PASSWORD });
        let client_certs = json!({ "cert": kamailio.client.certificate.pem(), "key": kamailio.client.key.serialize_pem() });
        let input = Secret::new(json!({ "sip_account": sip_account, "client_certs": client_certs }).to_string());
        driver.act(&*ctx, &Target::Account, Action::Setup { step: "import".into(), input }).await.unwrap();
        let (watches, house) = (Arc::clone(&driver), Arc::clone(&ctx));
        let watch = tokio::spawn(async move { watches.watch(&*house, Box::pin(std::future::pending())).await });
        until("it is registered", || kamailio.count("registered") == 1).await;
        (Self { ctx, driver, watch, _folder: folder }, bare)
    }

    async fn open(&self, door: usize) {
        let once = Once { not_after: self.ctx.now().utc.plus(Duration::from_secs(10)) };
        let external = format!("{}/{door}#2", DOMAIN.split('.').next().unwrap());
        let target = Target::Door { id: "gate".parse().unwrap(), external, time_zone: "Europe/Rome".into() };
        self.driver.act(&*self.ctx, &target, Action::Open(once)).await.unwrap();
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// A client that says no more than it must, on an equal connection.
struct Bare {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    who: Credentials,
    /// The newest challenge, and how often it was answered.
    challenge: Option<(Challenge, u32)>,
    sent: u32,
    /// The SHA-256 of the server's certificate.
    server: String,
}

impl Bare {
    async fn connect(ctx: &AccountCtx, kamailio: &Kamailio) -> Self {
        let client = &kamailio.client;
        let certificate =
            ClientCertificate { chain: vec![client.certificate.der().to_vec()], key: Secret::new(client.key.serialize_der()) };
        let tls = Tls::new(&Trust::Authorities(vec![kamailio.authority.certificate.der().to_vec()]), &certificate).unwrap();
        let server = Server { host: "127.0.0.1".into(), port: kamailio.tls };
        let stream = line::connect(ctx, &server, &tls).await.unwrap();
        let server = fingerprint(&stream.get_ref().1.peer_certificates().unwrap()[0]);
        let (reader, writer) = tokio::io::split(stream);
        let who = Credentials { username: USER.into(), password: PASSWORD.into() };
        Self { reader: Box::new(reader), writer: Box::new(writer), who, challenge: None, sent: 0, server }
    }

    /// From the first byte of a command to the last one of its answer. What is challenged is said again and counts alone.
    async fn round_trip(&mut self) -> Duration {
        loop {
            let request = self.request();
            let began = Instant::now();
            self.writer.write_all(request.as_bytes()).await.unwrap();
            self.writer.flush().await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                assert!(self.reader.read_buf(&mut answer).await.unwrap() > 0, "the connection ended");
            }
            let took = began.elapsed();
            let answer = String::from_utf8(answer).unwrap();
            if answer.starts_with("SIP/2.0 200 ") {
                return took;
            }
            let challenge = answer.lines().find_map(|line| line.strip_prefix("Proxy-Authenticate: ")).unwrap();
            self.challenge = Some((Challenge::read(challenge).unwrap(), 0));
        }
    }

    fn request(&mut self) -> String {
        self.sent += 1;
        let (number, uri) = (self.sent, format!("sip:diy@{DOMAIN}"));
        let proof = self.challenge.as_mut().map_or_else(String::new, |(challenge, count)| {
            *count += 1;
            format!("Proxy-Authorization: {}\r\n", challenge.answer(&self.who, "MESSAGE", &uri, *count, "bare").reveal())
        });
        let body = String::from_utf8(rpc::open(&number.to_string(), "20#2")).unwrap();
        format!(
            "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK.{number};rport\r\n\
             From: <sip:{USER}@{DOMAIN}>;tag=bare\r\nTo: {uri}\r\nCall-ID: bare-{number}\r\nCSeq: 20 MESSAGE\r\n\
             Max-Forwards: 70\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{proof}\r\n{body}",
            body.len()
        )
    }
}

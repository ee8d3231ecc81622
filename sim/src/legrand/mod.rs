//! The Legrand cloud behind BTicino's door entry: sign-in, REST API, an authority for certificates, a SIP registrar
//! over TLS, and gates, strikes and bells that behave physically.
//!
//! * One port serves the sign-in pages and the API, a page for people at `/`, and the control API under `/sim/…`,
//!   which does from outside what [`Sim`] does from inside. A second port is the registrar.
//! * [`Faults`] lists everything that can go wrong, and the ways in which such servers differ; [`Behaviour`] what a
//!   single gate can do wrong.
//! * With a folder in [`Config::dir`], tokens, accounts, certificates, both authorities, gates and the ports outlive a
//!   restart. Faults, counters, connections and registrations begin anew.
//! * Contacts of gates are not the vendor's: [`Sim::contacts`] and `GET /sim/contacts` tell them to whoever wires them
//!   to the house.
//!
//! Reading on: `spec` (what stands where), `openers` (gates and strikes, without IO), `book`, `jwt`, `login` and `token`
//! (the directory), `api`, `catalog` and `enrol` (the calls), `der`, `csr` and `authority` (certificates), `sip` (the
//! registrar), `world` (all state), `faults`, `oddities` and `passage` (what goes wrong), `control`, `page`.
//!
//! ```
//! use doorward_sim::legrand::{self, Config, Position};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let sim = legrand::start(Config::default()).await?;
//! assert!(sim.base_url().starts_with("http://127.0.0.1:"));
//!
//! // Somebody pushes the gate open; its contact says so.
//! let contacts = sim.contacts();
//! sim.hand("20#2", true);
//! assert_eq!(sim.opener("20#2").position, Position::Open);
//! assert!(contacts.borrow()["20#2"]);
//! sim.stop().await;
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```

mod api;
mod authority;
mod book;
mod catalog;
mod control;
mod csr;
mod der;
mod enrol;
mod faults;
mod journal;
mod jwt;
mod login;
mod oddities;
mod openers;
mod page;
mod passage;
mod registry;
mod running;
mod sip;
mod spec;
mod token;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;

pub use self::book::{Rotation, Tokens};
pub use self::faults::{Dead, Fault, Faults, On, Refusal};
pub use self::journal::Counters;
pub use self::oddities::{CaShape, Challenge, HeaderForm, JsonRpc, Qop, Writing};
pub use self::openers::{OpenerView, Position};
pub use self::running::{Enrolment, Sim};
pub use self::sip::calls::{LegView, RingState, RingView};
pub use self::sip::exchange::BindingView;
pub use self::spec::{Behaviour, GatewaySpec, OpenerKind, OpenerSpec, PanelSpec, Person, PlantSpec};
use self::world::{Saved, World};
use crate::clock::{Clock, SystemClock};
use crate::server;

/// How the cloud is set up.
pub struct Config {
    /// Where the sign-in pages and the API listen. Port 0 is the one used last time, or a free one. Whoever reaches it
    /// can meddle with everything, so let it be a loopback address.
    pub listen: SocketAddr,
    /// Where the registrar listens.
    pub sip_listen: SocketAddr,
    /// Where state is kept (in `legrand.json`); without it, nothing outlives the simulator. It is made when it does not
    /// exist.
    pub dir: Option<PathBuf>,
    /// What tokens, passwords and ids are derived from; keys are not. A folder that was used before goes on with its own.
    pub seed: u64,
    /// Who can sign in. [`Sim::allow`] and [`Sim::grant`] take the first one.
    pub people: Vec<Person>,
    /// Their plants. An opener that is known from the folder keeps its state, and its description comes from here.
    pub plants: Vec<PlantSpec>,
    /// The directory's tenant.
    pub tenant: String,
    /// The policy of the sign-in.
    pub policy: String,
    /// The application's id.
    pub client_id: String,
    /// Where the sign-in ends.
    pub redirect_uri: String,
    /// What the application asks for.
    pub scope: String,
    /// `Ocp-Apim-Subscription-Key`.
    pub subscription_key: String,
    /// What follows on the id of a gateway in its SIP domain.
    pub sip_domain: String,
    /// What becomes of used refresh tokens.
    pub rotation: Rotation,
    /// How long access tokens live, in seconds.
    pub expires_in: u64,
    /// How long client certificates live, at most some thousand years.
    pub certificate_lives: Duration,
    /// How many SIP accounts a gateway has room for.
    pub accounts_max: usize,
    /// The shortest registration that is taken, in seconds.
    pub registration_min: u64,
    /// The longest registration that is granted, in seconds.
    pub registration_max: u64,
    /// How long a nonce can be used, in milliseconds.
    pub nonce_lives_ms: u64,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Default for Config {
    /// The cloud of the demo: one person with two plants. At home there is a gate with a contact (`20#2`), a strike
    /// without one (`21#2`) and a bell (`20`), at the cottage a gate (`30#1`) and a bell (`30`).
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            sip_listen: (Ipv4Addr::LOCALHOST, 0).into(),
            dir: None,
            seed: 1,
            people: vec![spec::person()],
            plants: spec::plants(),
            tenant: "EliotClouduamprd.onmicrosoft.com".to_owned(),
            policy: "B2C_1_DoorEliot-DIY-SignUporSignIn".to_owned(),
            client_id: "032e1c93-4c8f-4618-9a9c-0355059678cf".to_owned(),
            redirect_uri: "com.legrandgroup.diy://oauth2redirect".to_owned(),
            scope: "https://EliotClouduamprd.onmicrosoft.com/security/access.full offline_access openid".to_owned(),
            subscription_key: "sim-subscription-key".to_owned(),
            sip_domain: "bs.iotleg.com".to_owned(),
            rotation: Rotation::default(),
            expires_in: 3600,
            certificate_lives: enrol::CERTIFICATE_LIVES,
            accounts_max: 10,
            registration_min: 60,
            registration_max: 600,
            nonce_lives_ms: 300_000,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Starts the cloud. It serves when this returns.
///
/// An error means that an address cannot be listened on, or that the folder cannot be read or written.
pub async fn start(config: Config) -> io::Result<Sim> {
    let saved = match &config.dir {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            Saved::load(folder)?
        }
        None => None,
    };
    let listener = listen(config.listen, saved.as_ref().map(|saved| saved.port)).await?;
    let sip_listener = listen(config.sip_listen, saved.as_ref().map(|saved| saved.sip_port)).await?;
    let (addr, sip_addr) = (listener.local_addr()?, sip_listener.local_addr()?);
    let world = Arc::new(World::new(config, (addr.port(), sip_addr.port()), saved)?);
    let tls = sip::tls::Tls::new(&world)?;
    let tasks = vec![
        tokio::spawn(server::serve(listener, router(&world))),
        tokio::spawn(sip::listener::serve(Arc::clone(&world), sip_listener, tls)),
        tokio::spawn(tick(Arc::clone(&world))),
    ];
    Ok(Sim::new(world, addr, sip_addr, tasks))
}

/// Listens where it is wanted, and on the port of last time when any will do.
async fn listen(wanted: SocketAddr, last: Option<u16>) -> io::Result<TcpListener> {
    if let (0, Some(last)) = (wanted.port(), last)
        && let Ok(listener) = TcpListener::bind((wanted.ip(), last)).await
    {
        return Ok(listener);
    }
    TcpListener::bind(wanted).await
}

fn router(world: &Arc<World>) -> Router {
    // Only what a browser may be tricked into sending; programs that speak the cloud's language are no browsers.
    let guarded = control::routes().merge(page::routes()).layer(middleware::from_fn(server::same_origin));
    Router::new()
        .route("/{tenant}/oauth2/v2.0/authorize", get(login::authorize))
        .route("/{tenant}/oauth2/v2.0/token", post(token::token))
        .route("/{tenant}/{policy}/SelfAsserted", post(login::answer))
        .merge(api::routes())
        .merge(guarded)
        .layer(middleware::from_fn_with_state(Arc::clone(world), date))
        .with_state(Arc::clone(world))
}

/// Dates answers by the cloud's own clock.
async fn date(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let now = world.clock.now_ms().min(World::LAST_DATE_MS);
    let now = std::time::UNIX_EPOCH + Duration::from_millis(now);
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now)) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Lets things happen at their time rather than when somebody asks.
async fn tick(world: Arc<World>) {
    loop {
        let due = world.look(|state, _| state.due());
        match due {
            None => world.changed.notified().await,
            Some(due) => tokio::select! {
                () = world.changed.notified() => {}
                () = world.clock.sleep_until(due) => {}
            },
        }
    }
}

/// Two digits for each byte.
fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

//! The U-tec cloud: `OAuth` with rotating refresh tokens, the `/action` endpoint, pushes, and locks that
//! behave physically.
//!
//! * One port serves both the API base and the `OAuth` base, a page for people at `/`, and the control API
//!   under `/sim/…`, which does from outside what [`Sim`] does from inside.
//! * [`Faults`] lists everything that can go wrong; [`Behaviour`] what a single lock can do wrong.
//! * With a folder in [`Config::dir`], tokens, bolts, people, counters and the port outlive a restart. Faults
//!   and request counters begin anew.
//!
//! Reading on: `request` (what a client may send), `answer` (how this cloud writes), `action` and `oauth` (the
//! endpoints), `locks`, `users` and `tokens` (what is behind them, without IO), `world` (all state), `faults`
//! and `passage` (what goes wrong), `push`, `control`, `page`.

mod action;
mod answer;
mod control;
mod faults;
mod locks;
mod oauth;
mod page;
mod passage;
mod push;
mod request;
mod tokens;
mod users;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::faults::{CodeName, Dead, Fault, Faults, IdName, On, TokenAnswer, Wrapping};
pub use self::locks::{Behaviour, Bolt, LockSpec, LockView, Position};
pub use self::tokens::{Rotation, Tokens};
pub use self::users::LockUser;
pub use self::world::Counters;
use self::world::{Parts, Saved, World};
use crate::clock::{Clock, SystemClock};
use crate::server;

/// The only scope there is.
const SCOPE: &str = "openapi";
/// 9999-12-31T23:59:59Z, the last moment that an HTTP date can name.
const LAST_DATE_MS: u64 = 253_402_300_799_000;

/// How the cloud is set up.
pub struct Config {
    /// Where to listen. Port 0 is the one used last time, or a free one. Whoever reaches it can meddle with
    /// everything, so let it be a loopback address.
    pub listen: SocketAddr,
    /// Where state is kept (in `utec.json`); without it, nothing outlives the simulator. It is made when it
    /// does not exist.
    pub dir: Option<PathBuf>,
    /// What tokens and ids are derived from. A folder that was used before goes on with its own.
    pub seed: u64,
    /// The locks of the account. A lock that is known from the folder keeps its state, and its description
    /// comes from here.
    pub locks: Vec<LockSpec>,
    /// The access key, which is also the `OAuth` client id.
    pub client_id: String,
    /// The secret key, which is also the `OAuth` client secret.
    pub client_secret: String,
    /// What becomes of used refresh tokens.
    pub rotation: Rotation,
    /// How long access tokens live, in seconds.
    pub expires_in: u64,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Default for Config {
    /// The cloud of the demo: three locked locks, of which the first is honest and has a door contact, the
    /// second is a liar, and the third jams at every fifth command.
    fn default() -> Self {
        let mut front = LockSpec::new("7C:DF:A1:68:3E:6A", "Front door");
        front.door_sensor = true;
        let garden = LockSpec::new("7C:DF:A1:68:3E:6B", "Garden gate lock");
        let workshop = LockSpec::new("7C:DF:A1:68:3E:6C", "Workshop");
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            dir: None,
            seed: 1,
            locks: vec![front, garden.behaves(Behaviour::Liar), workshop.behaves(Behaviour::JamsEvery(5))],
            client_id: "sim-access-key".to_owned(),
            client_secret: "sim-secret-key".to_owned(),
            rotation: Rotation::default(),
            expires_in: 601_200,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Starts the cloud. It serves when this returns.
///
/// An error means that the address cannot be listened on, or that the folder cannot be read or written.
pub async fn start(config: Config) -> io::Result<Sim> {
    let saved = match &config.dir {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            Saved::load(folder)?
        }
        None => None,
    };
    let listener = listen(config.listen, saved.as_ref().map(|saved| saved.port)).await?;
    let addr = listener.local_addr()?;
    let world = Arc::new(World::new(Parts {
        clock: config.clock,
        client_id: config.client_id,
        client_secret: config.client_secret,
        rotation: config.rotation,
        expires_in: config.expires_in,
        port: addr.port(),
        seed: config.seed,
        locks: config.locks,
        folder: config.dir,
        saved,
    })?);
    let tasks = vec![
        tokio::spawn(server::serve(listener, router(&world))),
        tokio::spawn(push::deliver(Arc::clone(&world))),
        tokio::spawn(tick(Arc::clone(&world))),
    ];
    Ok(Sim { world, addr, tasks })
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
    let guarded = control::routes()
        .route("/", get(page::front))
        .route("/turn", post(page::turn))
        .route("/authorize", get(oauth::authorize).post(oauth::decide))
        .layer(middleware::from_fn(server::same_origin));
    Router::new()
        .route("/action", post(action::action))
        .route("/token", post(oauth::token))
        .merge(guarded)
        .layer(middleware::from_fn_with_state(Arc::clone(world), date))
        .with_state(Arc::clone(world))
}

/// Dates answers by the cloud's own clock.
async fn date(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // A date has four digits for the year.
    let now = world.look(|state, now| state.cloud_time(now)).min(LAST_DATE_MS);
    let now = std::time::UNIX_EPOCH + std::time::Duration::from_millis(now);
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now)) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Lets things happen at their time, so that they are pushed then rather than when somebody asks.
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

/// A running cloud. Dropping it stops it.
///
/// Methods that take the id of a lock compare it without case and panic when there is no such lock.
pub struct Sim {
    world: Arc<World>,
    addr: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Sim {
    /// `http://127.0.0.1:<port>`: the API base and the `OAuth` base at once.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Replaces all faults. `Faults::default()` switches everything off.
    pub fn set_faults(&self, faults: Faults) {
        self.world.look(|state, _| state.faults = faults);
    }

    /// The faults as they stand; limited ones have been counted down.
    pub fn faults(&self) -> Faults {
        self.world.faults()
    }

    /// How a lock stands now.
    pub fn lock(&self, id: &str) -> LockView {
        let view = self.world.look(|state, _| state.lock(id).map(locks::Lock::view));
        view.unwrap_or_else(|| unknown(id))
    }

    /// All locks, in the order of the configuration.
    pub fn locks(&self) -> Vec<LockView> {
        let views = |state: &mut world::State| state.locks.iter().map(locks::Lock::view).collect();
        self.world.look(|state, _| views(state))
    }

    /// Turns a lock by hand.
    pub fn turn(&self, id: &str, to: Bolt) {
        self.tamper(id, |lock| lock.turn(to));
    }

    /// Changes the battery level, 1 to 5.
    pub fn set_battery(&self, id: &str, level: u8) {
        self.tamper(id, |lock| lock.works.battery = level);
    }

    /// Opens or closes the door; a lock without a door sensor does not notice.
    pub fn set_door(&self, id: &str, open: bool) {
        self.tamper(id, |lock| lock.set_door(open));
    }

    /// Connects the lock to its cloud or cuts it off. What the cloud reports meanwhile is the last it heard.
    pub fn set_online(&self, id: &str, online: bool) {
        self.tamper(id, |lock| lock.works.online = online);
    }

    /// Makes a lock behave otherwise from now on, until the next start.
    pub fn set_behaviour(&self, id: &str, behaviour: Behaviour) {
        self.tamper(id, |lock| lock.spec.behaviour = behaviour);
    }

    /// Kills all refresh tokens; the next refresh is answered with `invalid_grant`.
    pub fn revoke(&self) {
        self.world.edit(|state, _| state.book.revoke());
    }

    /// Kills all access tokens; the next request is answered with 401.
    pub fn expire_access_tokens(&self) {
        self.world.edit(|state, _| state.book.expire());
    }

    /// Signs an account in without a browser.
    pub fn grant(&self) -> Tokens {
        let expires_in = self.world.expires_in;
        self.world.edit(|state, now| {
            let now = state.cloud_time(now);
            state.book.grant(now, expires_in, &mut state.dice)
        })
    }

    /// Does what a person does who is sent to this `/authorize` URL and presses Allow. Gives the URL that the
    /// browser is then redirected to, or what was wrong with the first one.
    pub fn allow(&self, authorize_url: &str) -> Result<String, String> {
        oauth::allow(&self.world, authorize_url)
    }

    /// Stops pushes without a word, or lets them go on. What happens meanwhile is never pushed.
    pub fn silence_pushes(&self, silent: bool) {
        self.world.look(|state, _| state.silent = silent);
    }

    /// What has been counted since the start.
    pub fn counters(&self) -> Counters {
        self.world.look(|state, _| state.counters)
    }

    /// Stops it: all connections are closed and the port is free when this returns.
    pub async fn stop(mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        self.world.stop();
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // It was aborted, which is what is wanted.
            let _ = task.await;
        }
    }

    fn tamper(&self, id: &str, change: impl FnOnce(&mut locks::Lock)) {
        if !self.world.edit(|state, _| state.tamper(id, change)) {
            unknown::<()>(id);
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.world.stop();
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn unknown<T>(id: &str) -> T {
    panic!("the simulator has no lock {id}")
}

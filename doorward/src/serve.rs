//! `doorward serve`: from the data folder to listeners that answer, and back.

use crate::{
    beside,
    certificates::{self, Certificates},
    cli::Global,
    config::{self, CertificateFiles, Config, Sources},
    data::{self, Data},
    drivers::TABLE,
    failure::{Exit, Failure, Outcome, mistakes},
    logging::{self, Reload},
};
use anyhow::Context;
use doorward_core::Secret;
use doorward_core::record::NewEvent;
use doorward_engine::{Clock, Handle, House, Stopper, SystemClock};
use doorward_fleet::Fleet;
use doorward_mqtt::Mqtt;
use doorward_store::{OpenOptions, Store};
use doorward_tunnel::Tunnel;
use doorward_web::{
    Web, WebConfig, notify, people,
    serve::{AdminListener, Peer},
    webhooks,
};
use doorward_wire::event::EventKind;
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

pub(crate) mod ble;
mod first_key;
mod first_start;
mod fleet;
mod managed;

/// How long requests that are under way get when the program stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// Runs until it is told to stop.
pub(crate) async fn run(global: &Global, config: Option<&Path>) -> Outcome {
    let folder = data::folder(global.data.as_deref());
    let sources = config::sources(config, &folder).map_err(|error| Failure::usage(format!("{error:#}")))?;
    // Before anything says that it runs: a supervisor may stop it right away.
    let stop = told_to_stop()?;
    as_many_files_as_allowed();
    let house = start(folder, sources, global.debug).await?;
    if let Err(failure) = house.announce().await {
        // It runs; that the database went away meanwhile is no reason to stop.
        tracing::error!("the first sign-in link could not be made: {}", failure.lines.join(" "));
    }
    stop.await;
    house.stop().await;
    Ok(Exit::Done)
}

/// Each connection is a file. Systems allow few of them at first (the soft limit) for programs that still use `select`.
pub(crate) fn as_many_files_as_allowed() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::debug!("the limit of open files stays as it is: {error}");
    }
}

/// A house that runs and answers.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) public_url: Option<String>,
    data: Data,
    web: Web,
    mqtt: Option<Arc<Mqtt>>,
    pub(crate) tunnel: Tunnel,
    pub(crate) fleet: Fleet,
    _ble: Option<ble::Ble>,
    /// The tunnel's first key, when it was just made.
    pub(crate) first_key: Option<Secret<String>>,
    stopper: Stopper,
    listeners: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Starts everything. What fails here ends the start with a message; nothing is half open.
pub(crate) async fn start(folder: std::path::PathBuf, mut sources: Sources, debug: bool) -> Result<Running, Failure> {
    let first = Config::read(&sources, TABLE).map_err(|found| mistakes(&found, &sources.path))?;
    let (logbook, reload) = logging::start(&first.log.level, first.log.format, debug);
    let data = Data::open(folder)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let options = OpenOptions::new(data.store_url(&first.store.url), data.key()?, clock.now().utc);
    let store = Store::open(&options).await.map_err(|error| Failure::failed(error.to_string()))?;
    let config = with_database(&store, &mut sources, reload.as_ref(), debug).await?;
    managed::apply(&store, &config, clock.now().utc).await.context("the accounts and doors of the configuration file")?;

    // Ports first: a port that is taken must not cost the former owner its accounts.
    let http = match config.http.listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let mut problems = Vec::new();
    let public = match config.public.listen {
        Some(address) => TcpListener::bind(address).await.map_err(|error| problems.push(format!("public.listen {address}: {error}"))).ok(),
        None => None,
    };
    let socket = data::socket(&data.path);
    let admin = AdminListener::bind(&socket).with_context(|| format!("the admin socket {}", socket.display()))?;

    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().context("metrics")?;
    let house = House { store: store.clone(), clock, drivers: TABLE };
    let (handle, stopper) = house.start().await.map_err(|error| Failure::failed(error.to_string()))?;
    let address = http.as_ref().and_then(|listener| listener.local_addr().ok());
    for problem in &problems {
        tracing::error!("{problem}");
    }
    let mut tls = Tls::default();
    let mqtt = mqtt(&config, &data, &handle, &mut tls, &mut problems).await;
    let (tunnel, first_key) = tunnel(&config, &handle, mqtt.clone(), &mut tls, &mut problems).await?;
    let fleet = fleet::start(&config, &handle, mqtt.clone(), &mut tls, &mut problems).await;
    let ble = ble::start(&config, &handle, &mut problems).await;
    let settings = WebConfig {
        beside: beside::places(&config, &sources.path),
        bluetooth: ble.as_ref().map(ble::Ble::desk),
        ..web_config(&config, &data, tls.authority.clone(), problems)
    };
    let web = Web::new(handle.clone(), settings, logbook, metrics, mqtt.clone(), tunnel.clone(), fleet.clone());
    let (stop, listeners) = serve(&web, http, public, admin);
    started(&handle).await;
    tokio::spawn(housekeeping(handle.clone(), config.store.keep_events, tls, stop.subscribe()));
    Ok(Running {
        handle,
        http: address,
        public_url: config.http.public_url,
        data,
        web,
        mqtt,
        tunnel,
        fleet,
        _ble: ble,
        first_key,
        stopper,
        listeners,
        stop,
    })
}

/// Reads the configuration again, now with what was set on the settings page.
async fn with_database(store: &Store, sources: &mut Sources, reload: Option<&Reload>, debug: bool) -> Result<Config, Failure> {
    let settings = store.settings().await.map_err(|error| Failure::failed(error.to_string()))?;
    let config = config::with_settings(sources, settings)?;
    if let Some(reload) = reload {
        let _ = reload.reload(logging::filter(&config.log.level, debug));
    }
    Ok(config)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::failed(format!("http.listen {address}: {error}"));
        if error.kind() == std::io::ErrorKind::AddrInUse {
            return failure.and("another program uses this port; stop it, or set http.listen (DOORWARD_HTTP__LISTEN) to another one");
        }
        failure
    })
}

/// MQTT. A house without it still opens its doors, so what keeps it from starting is a banner.
async fn mqtt(config: &Config, data: &Data, handle: &Handle, tls: &mut Tls, problems: &mut Vec<String>) -> Option<Arc<Mqtt>> {
    let mut trouble = |problem: String| {
        tracing::error!("{problem}");
        problems.push(problem);
    };
    let started = if let Some(external) = &config.mqtt.external {
        Mqtt::external(external.clone(), config.mqtt.admin.clone(), config.mqtt.discovery, handle)
            .await
            .map_err(|error| format!("mqtt.broker: {error}"))
    } else {
        let [plain, mut secure, websocket, mut secure_websocket] = config.mqtt.listen;
        let mut certificate = None;
        if secure.is_some() || secure_websocket.is_some() {
            match tls.server_config(config, config.mqtt.certificate.as_ref(), handle, &["mqtt"]).await {
                Ok(own) => certificate = Some(own),
                Err(error) => {
                    trouble(format!("mqtt.tls_listen: {error:#}"));
                    (secure, secure_websocket) = (None, None);
                }
            }
        }
        if [plain, secure, websocket, secure_websocket].iter().all(Option::is_none) {
            return None;
        }
        let folder = data.path.join("mqtt");
        let options = doorward_mqtt::broker::Options {
            plain,
            secure,
            websocket,
            secure_websocket,
            tls: certificate,
            folder,
            anonymous_locks: config.mqtt.anonymous_locks,
        };
        Mqtt::embedded(&options, config.mqtt.discovery, handle).await.map_err(|error| format!("mqtt.listen {error}"))
    };
    let mqtt = started.map_err(trouble).ok()?;
    for listener in mqtt.listeners() {
        tracing::info!("the MQTT broker listens at {}://{}", listener.scheme, listener.address);
    }
    Some(Arc::new(mqtt))
}

/// The tunnel, which listens where it is told to. A house whose tunnel cannot listen still opens its doors.
async fn tunnel(
    config: &Config,
    handle: &Handle,
    mqtt: Option<Arc<Mqtt>>,
    tls: &mut Tls,
    problems: &mut Vec<String>,
) -> Result<(Tunnel, Option<Secret<String>>), Failure> {
    let failed = |error: doorward_store::StoreError| Failure::failed(error.to_string());
    let tunnel = Tunnel::new(config.tunnel.options.clone(), handle.clone(), mqtt).await.map_err(failed)?;
    let Some(address) = config.tunnel.listen else { return Ok((tunnel, None)) };
    let started = async {
        let listener = TcpListener::bind(address).await?;
        let certificate = if config.tunnel.tls {
            Some(tls.server_config(config, config.tunnel.certificate.as_ref(), handle, &["http/1.1"]).await?)
        } else {
            None
        };
        anyhow::Ok((listener, certificate))
    };
    match started.await {
        Ok((listener, certificate)) => {
            if let Err(error) = tunnel.serve_at(listener, certificate) {
                problems.push(format!("tunnel.listen {address}: {error}"));
            }
            let scheme = if config.tunnel.tls { "https" } else { "http" };
            if let Some(address) = tunnel.address() {
                tracing::info!("the tunnel listens at {scheme}://{address}");
            }
        }
        Err(error) => {
            tracing::error!("tunnel.listen {address}: {error:#}");
            problems.push(format!("tunnel.listen {address}: {error:#}"));
        }
    }
    let first_key = first_key::make(&tunnel, &config.tunnel).await.unwrap_or_else(|error| {
        tracing::error!("the tunnel has no key yet: {error:#}");
        problems.push(format!("tunnel.secret_key_file: {error:#}"));
        None
    });
    Ok((tunnel, first_key))
}

/// The certificates of the listeners, which are kept fresh.
#[derive(Default)]
struct Tls {
    certificates: Vec<Certificates>,
    /// The certificate of doorward's own authority, when it gave one of them.
    authority: Option<String>,
}

impl Tls {
    /// What a listener with this certificate needs; of doorward's own authority when none is named.
    async fn server_config(
        &mut self,
        config: &Config,
        files: Option<&CertificateFiles>,
        handle: &Handle,
        protocols: &[&str],
    ) -> anyhow::Result<Arc<rustls::ServerConfig>> {
        let certificates = if let Some(files) = files {
            Certificates::from_files(files.clone())?
        } else {
            let (store, now) = (handle.store(), handle.now().utc);
            self.authority = Some(certificates::authority_pem(store, now).await?);
            let hosts = certificates::hosts(&config.http.hosts, config.http.public_url.as_deref());
            Certificates::own(store, hosts, now).await?
        };
        let own = certificates.server_config(protocols)?;
        self.certificates.push(certificates);
        Ok(own)
    }
}

fn web_config(config: &Config, data: &Data, authority: Option<String>, problems: Vec<String>) -> WebConfig {
    WebConfig {
        hosts: config.http.hosts.clone(),
        public_url: config.http.public_url.clone(),
        trusted: config.http.trusted.clone(),
        proxies: config.http.proxies.clone(),
        allow_plain: config.http.allow_plain,
        utec_account: config.http.utec_account.clone(),
        data: data.path.clone(),
        sites: managed::sites(config),
        settings: config.shown.clone(),
        authority,
        problems,
        notify: config.notify.clone(),
        tunnel_url: config.tunnel.public_url.clone(),
        ..WebConfig::default()
    }
}

/// Listens, and sends webhooks and notifications, until it is told to stop.
fn serve(web: &Web, http: Option<TcpListener>, public: Option<TcpListener>, admin: AdminListener) -> (watch::Sender<bool>, JoinSet<()>) {
    use doorward_web::serve::{admin_router, private_router, public_router};
    let (stop, _) = watch::channel(false);
    let mut listeners = JoinSet::new();
    let told = |mut stop: watch::Receiver<bool>| async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    for (listener, router) in [(http, private_router(web)), (public, public_router(web))] {
        if let Some(listener) = listener {
            let service = router.into_make_service_with_connect_info::<Peer>();
            let stop = told(stop.subscribe());
            listeners.spawn(async move {
                let _ = axum::serve(listener, service).with_graceful_shutdown(stop).await;
            });
        }
    }
    let service = admin_router(web).into_make_service_with_connect_info::<Peer>();
    let stopped = told(stop.subscribe());
    listeners.spawn(async move {
        let _ = axum::serve(admin, service).with_graceful_shutdown(stopped).await;
    });
    listeners.spawn(webhooks::run(web.clone(), told(stop.subscribe())));
    listeners.spawn(notify::run(web.clone(), told(stop.subscribe())));
    listeners.spawn(people::compile::run(web.clone(), told(stop.subscribe())));
    (stop, listeners)
}

pub(crate) async fn started(handle: &Handle) {
    let event = NewEvent::new(handle.now().utc, EventKind::Started).data(serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
    if let Err(error) = handle.record(vec![event]).await {
        tracing::error!(%error, "the start could not be written down");
    }
}

/// What is done now and then: old events go, ownership and certificates are renewed, old links and sessions go.
async fn housekeeping(handle: Handle, keep_events: Duration, tls: Tls, mut stop: watch::Receiver<bool>) {
    let mut minutes: u64 = 0;
    loop {
        let minute = handle.clock().sleep_until(handle.now().mono.plus(Duration::from_mins(1)));
        tokio::select! {
            () = minute => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        minutes += 1;
        let now = handle.now().utc;
        tls.certificates.iter().for_each(|certificates| certificates.keep_fresh(now));
        match handle.store().renew_ownership(now).await {
            Ok(lost) => {
                for account in lost {
                    tracing::warn!(%account, "another copy of doorward took this account over");
                }
            }
            Err(error) => tracing::warn!(%error, "ownership could not be renewed"),
        }
        if minutes % 60 == 1 {
            let result = async {
                handle.store().purge_links(now).await?;
                handle.store().purge_sessions(now).await?;
                handle.store().prune(now.minus(keep_events), now).await
            };
            if let Err(error) = result.await {
                tracing::warn!(%error, "old events, links and sessions could not be removed");
            }
        }
    }
}

impl Running {
    /// Where the embedded broker listens without TLS.
    pub(crate) fn plain_broker(&self) -> Option<SocketAddr> {
        self.mqtt.as_ref()?.listeners().iter().find(|listener| listener.scheme == "mqtt").map(|listener| listener.address)
    }

    /// Stops listening, lets what is under way end, writes what is to be written.
    pub(crate) async fn stop(mut self) {
        tracing::info!("stopping");
        self.web.stop();
        let _ = self.stop.send(true);
        let farewell = async { while self.listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            self.listeners.shutdown().await;
        }
        self.tunnel.stop().await;
        self.fleet.stop().await;
        if let Some(mqtt) = &self.mqtt {
            mqtt.stop().await;
        }
        self.stopper.stop().await;
        self.handle.store().close().await;
        let _ = std::fs::remove_file(data::socket(&self.data.path));
        tracing::info!("stopped");
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes.as_ref())
}

/// From now on the program can be told to stop, by Ctrl-C or by its supervisor; ends when it is.
pub(crate) fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

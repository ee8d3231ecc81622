//! Figures of the whole house against their limits, in one run: start, memory, commands, leases, size.
//!
//! `make bench` prints them and writes docs/performance.md. Nothing here fails: a figure is looked at, not asserted.

#![allow(missing_docs, reason = "a program of its own")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot be taken is no figure")]
#![allow(clippy::disallowed_methods, reason = "what is measured here is real time")]

mod ble;
mod bticino;
mod fleet;
mod mqtt;
mod tunnel;

use doorward_core::driver::{About, Action, Ctx, Done, Driver, Entry, Fault, Found, How, Lease, Mistake, Report, Settings, Sight, Target};
use doorward_engine::{Clock, House, SystemClock};
use doorward_store::{MasterKey, OpenOptions, Store};
use doorward_web::{Web, WebConfig, logbook::Logbook, serve::Peer};
use doorward_wire::{
    attempt::{Actor, ActorKind},
    door::{Capability, DoorKind, DoorState},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const BINARY: &str = env!("CARGO_BIN_EXE_doorward");
const BINARY_OF_LOCK: &str = env!("CARGO_BIN_EXE_doorward-lock");
const LEASES: usize = 100_000;
const ACCOUNTS: usize = 1_000;

/// One figure.
struct Figure {
    what: &'static str,
    measured: String,
    limit: String,
    ratio: f64,
}

/// Takes every figure, or those whose names are given; writes the page when its path is given and nothing is left out.
fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, what, upstream] = words.as_slice()
        && flag == "--helper"
    {
        return runtime.block_on(tunnel::helper(what, upstream));
    }
    let (pages, names): (Vec<String>, Vec<String>) =
        words.into_iter().filter(|word| word != "--bench").partition(|word| Path::new(word).extension().is_some());
    let figures = runtime.block_on(figures(&|name| names.is_empty() || names.iter().any(|wanted| wanted == name)));
    let mut table = String::from("| figure | measured | limit | measured ÷ limit |\n|---|---|---|---|\n");
    for Figure { what, measured, limit, ratio } in &figures {
        // A figure without a limit has no ratio.
        let ratio = if ratio.is_nan() { "–".to_owned() } else { format!("{ratio:.2}") };
        let _ = writeln!(table, "| {what} | {measured} | {limit} | {ratio} |");
    }
    println!("{table}");
    if let (true, Some(path)) = (names.is_empty(), pages.first()) {
        std::fs::write(path, page(&table)).unwrap();
    }
}

async fn figures(wanted: &dyn Fn(&str) -> bool) -> Vec<Figure> {
    let mut figures = Vec::new();
    if wanted("start") {
        figures.push(told(start().await));
    }
    if wanted("memory") {
        figures.push(told(idle_memory().await));
    }
    if wanted("command") {
        // A task of its own: the thread that waits for everything would be one more to wake at each step.
        figures.push(told(tokio::spawn(command()).await.unwrap()));
    }
    if wanted("leases") {
        figures.push(told(lease_memory().await));
        figures.push(told(lease_cpu().await));
    }
    if wanted("mqtt") {
        figures.extend(mqtt::figures().await);
    }
    if wanted("tunnel") {
        figures.extend(tunnel::figures().await);
    }
    if wanted("bticino") {
        figures.extend(bticino::figures().await);
    }
    if wanted("fleet") {
        figures.extend(fleet::figures().await);
    }
    if wanted("ble") {
        figures.extend(ble::figures().await);
    }
    if wanted("size") {
        figures.extend(sizes().map(told));
    }
    figures
}

/// Says that a figure is taken: the next one may take its time.
fn told(figure: Figure) -> Figure {
    eprintln!("{}: {}", figure.what, figure.measured);
    figure
}

fn page(table: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo").lines().find_map(|line| line.strip_prefix("model name\t: ").map(str::to_owned)).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
    let date = SystemClock::new().now().utc.to_string();
    format!(
        "# Performance\n\n`make bench` measures this page anew: the release build (fat LTO, stripped), everything in one run on one machine.\n\
         Absolute figures belong to that machine and moment; the ratios say whether a limit is kept.\n\n{table}\n\
         Measured on {date}: {cpu}, {cores} cores, load {load} (1, 5, 15 minutes).\n\n\
         ## How each is measured\n\n\
         * **Start to first answer**: from the start of the process to the first 200 of `/health`, median of 15, with a data folder that exists.\n\
         * **Idle memory**: `RssAnon` of `doorward serve` with one account and three doors, nobody signed in, after ten seconds.\n\
         * **Command**: `POST /doors/{{id}}/actions?wait=5s` on a kept-alive connection until the attempt has ended, with a driver that\n  \
           answers at once; median of 300. Its limit is twice the time of two bare durable commits of the same SQLite file (median of\n  \
           600, taken in turn with the commands) plus 0.5 ms.\n\
         * **Leases**: {LEASES} leases of {ACCOUNTS} accounts in a running house: growth of `RssAnon`, and processor time in ten idle\n  \
           seconds (its limit is what the system's clock can tell apart, 10 ms).\n\
         * **MQTT beside Mosquitto**: QoS 1 both ways, 64 bytes, 20 messages on their way of each publisher, one user whose rights are\n  \
           checked on each message; deliveries from the first message to the last; median of three rounds, in turn with Mosquitto\n  \
           (password file, access file, no log) and with the same clients, which share the machine with both. The ratio is that of\n  \
           the limit, 0.45 of Mosquitto's rate: at most 1 is kept.\n\
         * **MQTT, messages lost**: 200,000 from one ordinary client to another, with no agreement between them; a message counts\n  \
           as lost when its publisher had its acknowledgement and the subscriber hears nothing more for two seconds.\n\
         * **State change**: from a message on the state topic of a foreign door to the message on `doorward/door/<id>/state` at a\n  \
           subscriber: the broker, the driver, the house, the publisher and the broker again; median of 200.\n\
         * **Idle MQTT connection**: growth of `RssAnon` by 5,000 connections of 50 users, five seconds after the last one came.\n\
         * **Tunnel, relay**: 32 connections that are kept alive, each sends its next request when the one before is answered, to\n  \
           an HTTP server in a process of its own; in turn with an axum reverse proxy on the same HTTP client, in a process of its\n  \
           own too, that passes on a body of the same JSON. Messages are sealed before the clock runs, with aws-lc-rs; median of\n  \
           three rounds.\n\
         * **Tunnel, publish**: 300,000 sealed messages of 64 bytes on 32 connections, median of ten parts; then the growth of\n  \
           `RssAnon`. As many are remembered at 5,000 a second.\n\
         * **Tunnel, streams**: 10,000 connections of one key from another process, `RssAnon` of all of doorward with them open;\n  \
           from the publication of a message until the last of them has it, median of three.\n\
         * **BTicino, opening**: the driver's own act, from the house's command to the answer of a real Kamailio (TLS, client\n  \
           certificate, digest) on this machine; median of 500. Its limit is a bare round trip on an equal connection, a MESSAGE\n  \
           written by hand and signed before the clock runs (median of 500, taken in turn with the openings), plus 5 ms.\n\
         * **BTicino, openings**: 1,000 doors at once over the one connection to that Kamailio, until the last one is accepted;\n  \
           median of nine. A nonce of it is good for 255 requests: the others are challenged and sent once more.\n\
         * **BTicino, restart**: Kamailio is ended and started again; from when it serves until it has registered the account\n  \
           anew, slowest of ten.\n\
         * **BTicino, accounts**: `RssAnon` of a `doorward serve` with 1,000 imported accounts, each signed in, with its door and its\n  \
           registered connection to the simulated cloud, which runs in another process; 30 s after the last one came.\n\
         * **BTicino, accounts after a restart**: that cloud is ended and started again with what it kept; when each account is\n  \
           registered again, and the most of them within any second. They are spread over a minute, so that they do not all come at\n  \
           once; the limit leaves 5 s for connecting.\n\
         * **Fleet, one by one**: 5,000 devices by `POST /provision/{{id}}` of the provisioning server on 32 connections, each in a\n  \
           commit of its own with its user at the embedded broker and its event.\n\
         * **Fleet, batch**: `doorward device batch` with 10,000 rows, `kill -9` when half of the results are written, and the same\n  \
           command once more; both runs together.\n\
         * **Fleet, connected**: those 10,000 as `doorward sim device --from` in a process of its own, each connected, subscribed and\n  \
           reporting every minute: `RssAnon` of both processes after 70 s, and the processor time of each in these.\n\
         * **Fleet, rollout**: to these devices (and 5,000 that are away) in groups of 1, 10 and 100 per cent, 1,000 at once; each\n  \
           fetches 64 KiB, restarts and tells what it runs. A round is what doorward does to count what has ended, decide what comes\n  \
           next and write down whom it offers it: the longest of all, as `doorward_rollout_round_seconds` tells it.\n\
         * **Fleet, download**: 2,000 downloads of 1.5 MB on 500 connections, until the last byte of the last one; median of three, in\n  \
           turn with nginx (sendfile, a worker for each core) and the same client, which shares the machine with both.\n\
         * **Bluetooth**: the core of a lock with 10,000 live sessions of version 2, on one thread: a million advertisements of\n  \
           somebody else by themselves, and as many through the queue that a radio fills.\n\
         * **Bluetooth, sessions**: a request opened or read, the session made and sealed for the lock, and the answer for the\n  \
           guest, on two threads. Those of version 1 beside the two bare RSA-2048 signatures that each has, for the lock and for\n  \
           the guest, made in the same run; at most 1 is kept.\n\
         * **Bluetooth, opening**: a house in the process with a lock in the simulated air, its sessions and its database. From when a\n  \
           phone's radio is told to show a token to when the message that opens the door is handed to the broker: the air, the\n  \
           lock, the token kept as used, the rights of now, the attempt written down. 300, each with a session of its own.\n\
         * **Bluetooth, memory**: `VmRSS` of `doorward-lock`, which counts the pages of its program that are in memory, two seconds\n  \
           after it opened by the last of 1,000 sessions that it got over MQTT.\n\
         * **Binary**: the size of the file.\n"
    )
}

async fn start() -> Figure {
    let data = tempfile::tempdir().unwrap();
    let mut times = Vec::new();
    for round in 0..16 {
        let began = Instant::now();
        let port = free_port();
        let mut child = serve(data.path(), port);
        until_it_answers(port).await;
        // The first start makes the database.
        if round > 0 {
            times.push(began.elapsed());
        }
        end(&mut child);
    }
    let median = median(&mut times);
    Figure { what: "Start to first answer", measured: ms(median), limit: "150 ms".into(), ratio: median.as_secs_f64() / 0.150 }
}

async fn idle_memory() -> Figure {
    let data = tempfile::tempdir().unwrap();
    let config = doorward_sim::utec::Config::default();
    let (access, secret) = (config.client_id.clone(), config.client_secret.clone());
    let sim = doorward_sim::utec::start(config).await.unwrap();
    let port = free_port();
    let mut child = serve(data.path(), port);
    until_it_answers(port).await;
    let client = reqwest::Client::builder().no_proxy().unix_socket(data.path().join("doorward.sock")).build().unwrap();
    let send = async |path: &str, body: Value| -> Value {
        client.post(format!("http://localhost/api/v1{path}")).json(&body).send().await.unwrap().json().await.unwrap()
    };
    let settings = json!({ "base_url": sim.base_url(), "oauth_base_url": sim.base_url(), "access_key": access, "secret_key": secret,
        "redirect_url": "http://127.0.0.1:9/callback" });
    send("/accounts", json!({ "kind": "utec", "name": "U-tec", "settings": settings })).await;
    let started = send("/accounts/u_tec/steps", json!({ "step": "start", "input": {} })).await;
    let redirected = sim.allow(started["output"]["authorize_url"].as_str().unwrap()).unwrap();
    send("/accounts/u_tec/steps", json!({ "step": "exchange", "input": { "callback_url": redirected } })).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let kib = rss_anon(child.id());
    end(&mut child);
    Figure {
        what: "Idle memory, three doors",
        measured: format!("{:.1} MiB", kib / 1024.0),
        limit: "25 MiB".into(),
        ratio: kib / 1024.0 / 25.0,
    }
}

async fn command() -> Figure {
    let bench = Bench::start(1, 0).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
    let tunnel = doorward_tunnel::Tunnel::new(doorward_tunnel::Options::default(), bench.house.clone(), None).await.unwrap();
    let fleet = doorward_fleet::Fleet::new(doorward_fleet::Options::default(), bench.house.clone(), None);
    let web = Web::new(bench.house.clone(), WebConfig::default(), Logbook::default(), metrics, None, tunnel, fleet);
    let router = doorward_web::serve::private_router(&web).into_make_service_with_connect_info::<Peer>();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let store = bench.house.store();
    let scopes = ["doors:act".parse().unwrap()];
    let (_, token) = store.add_token(None, "bench", &scopes, None, bench.house.now().utc).await.map(|made| (made.0, made.1)).unwrap();
    let mut line = Line::connect(address, token.reveal()).await;
    let door = bench.house.board().doors()[0].id.clone();
    let path = format!("/api/v1/doors/{door}/actions?wait=5s");
    let (mut commands, mut commits) = (Vec::new(), Vec::new());
    for round in 0..310 {
        let began = Instant::now();
        let action = if round % 2 == 0 { "unlock" } else { "lock" };
        let answer = line.post(&path, &format!(r#"{{"action":"{action}"}}"#)).await;
        let command = began.elapsed();
        let attempt: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(attempt["state"], "confirmed", "{attempt}");
        for half in 0..2 {
            let began = Instant::now();
            // Another value each time: one that is there already would not be written.
            store.set_setting("bench", &json!([round, half])).await.unwrap();
            if round >= 10 {
                commits.push(began.elapsed());
            }
        }
        if round >= 10 {
            commands.push(command);
        }
    }
    let (command, commit) = (median(&mut commands), median(&mut commits));
    let limit = commit * 4 + Duration::from_micros(500);
    Figure {
        what: "Command, from HTTP request to driver and back",
        measured: ms(command),
        limit: format!("{} (a bare commit: {})", ms(limit), ms(commit)),
        ratio: command.as_secs_f64() / limit.as_secs_f64(),
    }
}

/// A kept-alive connection without a client library: what it would take is not doorward's time.
struct Line {
    stream: tokio::net::TcpStream,
    head: String,
}

impl Line {
    async fn connect(address: std::net::SocketAddr, token: &str) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!("Host: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        Self { stream, head }
    }

    /// Sends a request and gives the body of its answer.
    async fn post(&mut self, path: &str, body: &str) -> Vec<u8> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let request = format!("POST {path} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        loop {
            assert!(self.stream.read_buf(&mut answer).await.unwrap() > 0, "the connection ended");
            let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(answer[..end].to_ascii_lowercase()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if answer.len() >= end + 4 + length.parse::<usize>().unwrap() {
                return answer.split_off(end + 4);
            }
        }
    }
}

async fn lease_memory() -> Figure {
    let before = rss_anon(std::process::id());
    let bench = Bench::start(ACCOUNTS, LEASES / ACCOUNTS).await;
    let grown = (rss_anon(std::process::id()) - before) / 1024.0;
    let held: usize = bench.house.board().standings().iter().map(|standing| standing.leases.len()).sum();
    assert_eq!(held, LEASES);
    Figure { what: "100,000 leases, memory", measured: format!("{grown:.0} MiB"), limit: "100 MiB".into(), ratio: grown / 100.0 }
}

async fn lease_cpu() -> Figure {
    let _bench = Bench::start(ACCOUNTS, LEASES / ACCOUNTS).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = cpu_ticks();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let spent = (cpu_ticks() - before) * 10;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of ten seconds")]
    Figure {
        what: "100,000 leases, processor time in 10 s",
        measured: format!("{spent} ms"),
        limit: "10 ms".into(),
        ratio: spent as f64 / 10.0,
    }
}

fn sizes() -> [Figure; 2] {
    #[expect(clippy::cast_precision_loss, reason = "a file of some megabytes")]
    let mib = |path| std::fs::metadata(path).unwrap().len() as f64 / 1024.0 / 1024.0;
    let (all, lock) = (mib(BINARY), mib(BINARY_OF_LOCK));
    [
        Figure { what: "Release binary", measured: format!("{all:.1} MiB"), limit: "25 MiB".into(), ratio: all / 25.0 },
        Figure {
            what: "Release binary of a lock that stands alone",
            measured: format!("{lock:.1} MiB"),
            limit: "–".into(),
            ratio: f64::NAN,
        },
    ]
}

/// A house of instant drivers.
struct Bench {
    house: doorward_engine::Handle,
    _stopper: doorward_engine::Stopper,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn start(accounts: usize, leases: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = open_store(folder.path(), &*clock).await;
        let (house, stopper) = House { store, clock, drivers: INSTANT }.start().await.unwrap();
        let actor = Actor { kind: ActorKind::System, id: "bench".into(), name: None };
        for number in 0..accounts {
            let mut settings = Settings::default();
            settings.values.insert("leases".into(), json!(leases));
            house.add_account("instant", &format!("account {number}"), settings, &actor).await.unwrap();
        }
        let all = |house: &doorward_engine::Handle| {
            let held: usize = house.board().standings().iter().map(|standing| standing.leases.len()).sum();
            held == accounts * leases && house.board().doors().len() == accounts
        };
        while !all(&house) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { house, _stopper: stopper, _folder: folder }
    }
}

async fn open_store(folder: &Path, clock: &dyn Clock) -> Store {
    let key = MasterKey::load_or_create(&folder.join("master.key")).unwrap();
    let url = format!("sqlite:{}", folder.join("doorward.db").display());
    Store::open(&OpenOptions::new(url, key, clock.now().utc)).await.unwrap()
}

static INSTANT: &[Entry] = &[Entry { kind: "instant", about, build }];

/// Answers at once, with what the door then stands at.
struct Instantly {
    about: About,
    leases: u64,
}

fn about() -> About {
    About {
        kind: "instant",
        title: "Instant",
        summary: "Answers at once.",
        fields: &[],
        steps: &[],
        verify: Vec::new(),
        stale_after: Duration::from_hours(24),
        signs_in_here: false,
        calls: &[],
        only_in_file: false,
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the table wants it so")]
fn build(settings: &Settings) -> Result<Arc<dyn Driver>, Vec<Mistake>> {
    let leases = settings.values.get("leases").and_then(Value::as_u64).unwrap_or_default();
    Ok(Arc::new(Instantly { about: about(), leases }))
}

impl Driver for Instantly {
    fn about(&self) -> &About {
        &self.about
    }

    fn act<'a>(&'a self, _: &'a dyn Ctx, _: &'a Target, action: Action) -> doorward_core::driver::BoxFuture<'a, Result<Done, Fault>> {
        let state = if matches!(action, Action::Lock(_)) { DoorState::Locked } else { DoorState::Unlocked };
        let sight = Sight { state: Some(state), ..Sight::new(How::Answer) };
        Box::pin(async move { Ok(Done { sight: Some(sight), ..Done::default() }) })
    }

    fn watch<'a>(&'a self, ctx: &'a dyn Ctx, stop: doorward_core::driver::BoxFuture<'a, ()>) -> doorward_core::driver::BoxFuture<'a, ()> {
        let not_after = Some(ctx.now().utc.plus(Duration::from_hours(24 * 7)));
        for number in 0..self.leases {
            let margin = Some(Duration::from_mins(5));
            ctx.report(Report::Lease(Lease {
                id: format!("lease {number}"),
                kind: "oauth_token",
                not_after,
                margin,
                made: None,
                fresh: false,
            }));
        }
        let capabilities = vec![Capability::Lock, Capability::Unlock];
        ctx.report(Report::Found(vec![Found {
            external: "1".into(),
            name: "Door".into(),
            kind: DoorKind::Bolt,
            capabilities,
            raw: Value::Null,
        }]));
        stop
    }
}

fn serve(data: &Path, port: u16) -> Child {
    let mut command = Command::new(BINARY);
    command.arg("--data").arg(data).arg("serve").env("DOORWARD_HTTP__LISTEN", format!("127.0.0.1:{port}"));
    command.env("DOORWARD_MQTT__LISTEN", "127.0.0.1:0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

async fn until_it_answers(port: u16) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{port}/health");
    while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn end(child: &mut Child) {
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM);
    let _ = child.wait();
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Kibibytes of memory that belong to this process alone.
fn rss_anon(process: u32) -> f64 {
    status(process, "RssAnon:")
}

/// Kibibytes, as a line of this name in a process's status says.
fn status(process: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// Processor time of this process, in hundredths of a second.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit(')').next().unwrap();
    after.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

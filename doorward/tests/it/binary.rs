//! The real binary with a data folder of its own.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

/// Longer than a start takes on a busy machine; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `doorward serve`. Killed when it goes.
pub(crate) struct Binary {
    child: Child,
    data: PathBuf,
    log: Arc<Mutex<String>>,
}

/// A command of the binary, with nothing of our own environment that it would listen to.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOORWARD_")) {
        command.env_remove(name);
    }
    // Tests run side by side, and there is one port 1883.
    command.env("DOORWARD_MQTT__LISTEN", "off");
    command.arg("--data").arg(data).stdin(Stdio::null());
    command
}

/// Runs a command of the binary to its end.
pub(crate) fn run(data: &Path, arguments: &[&str]) -> Output {
    command(data).args(arguments).output().expect("the binary runs")
}

/// Runs a command that must succeed, and reads its JSON.
pub(crate) fn json(data: &Path, arguments: &[&str]) -> Value {
    let output = command(data).arg("--json").args(arguments).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?} printed {text:?} {errors:?}: {error}"))
}

impl Binary {
    /// Starts it on a free port and waits until it answers.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0")])
    }

    pub(crate) fn start_with(data: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = command(data);
        command.arg("serve").envs(environment.iter().copied());
        Self::spawn(command, data.to_owned())
    }

    /// Starts it with `--debug`.
    pub(crate) fn start_debug(data: &Path) -> Self {
        let mut command = command(data);
        command.args(["serve", "--debug"]).env("DOORWARD_HTTP__LISTEN", "127.0.0.1:0");
        Self::spawn(command, data.to_owned())
    }

    /// Starts it with a data folder on a volume of its own, of this many MiB, which only it sees. The folder is then
    /// reached through its process.
    pub(crate) fn start_on_small_volume(data: &Path, mebibytes: u32) -> Self {
        let script = format!("mount -t tmpfs -o size={mebibytes}m tmpfs \"$1\" && exec \"$0\" --data \"$1\" serve");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_doorward")]).arg(data);
        command.env("DOORWARD_HTTP__LISTEN", "127.0.0.1:0").env("DOORWARD_MQTT__LISTEN", "127.0.0.1:0").stdin(Stdio::null());
        let mut binary = Self::spawn(command, data.to_owned());
        binary.data = PathBuf::from(format!("/proc/{}/root", binary.child.id())).join(data.strip_prefix("/").unwrap());
        binary
    }

    fn spawn(mut command: Command, data: PathBuf) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (started, is_started) = std::sync::mpsc::channel();
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = lines.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
                drop(log);
                // Whoever is told looks for the address in what was logged.
                if line.contains("listens at") {
                    let _ = started.send(());
                }
            }
        });
        let binary = Self { child, data, log };
        assert!(is_started.recv_timeout(PATIENCE).is_ok(), "it did not start: {}", binary.log());
        binary
    }

    /// Its data folder, as it is seen from here.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Bytes of memory that belong to it alone.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The port of its MQTT broker.
    pub(crate) fn mqtt_port(&self) -> String {
        self.mqtt_port_of("mqtt")
    }

    /// The port of its MQTT broker for this kind of connection.
    pub(crate) fn mqtt_port_of(&self, scheme: &str) -> String {
        let words = format!("MQTT broker listens at {scheme}://");
        // What was written before it answered may still be on its way here.
        let told = (0..500).find_map(|_| {
            let log = self.log();
            let at = log.find(&words);
            if at.is_none() {
                std::thread::sleep(Duration::from_millis(20));
            }
            at.map(|at| (log, at + words.len()))
        });
        let (log, at) = told.unwrap_or_else(|| panic!("no {scheme} in {}", self.log()));
        let address = log[at..].split_whitespace().next().unwrap_or_default();
        address.rsplit(':').next().unwrap().to_owned()
    }

    /// Where its page is.
    pub(crate) fn page(&self) -> String {
        // It is told last, and the broker listens before.
        format!("http://{}", self.listens(concat!("doorward ", env!("CARGO_PKG_VERSION"))))
    }

    /// Where its tunnel listens, as `host:port`.
    pub(crate) fn tunnel(&self) -> String {
        self.listens("the tunnel")
    }

    /// Where its provisioning server listens, as `host:port`.
    pub(crate) fn fleet(&self) -> String {
        self.listens("the provisioning server")
    }

    /// Where something listens, which may come to stand after others.
    fn listens(&self, what: &str) -> String {
        let words = format!("{what} listens at ");
        let found = || {
            let log = self.log();
            let at = log.find(&words)? + words.len();
            Some(log[at..].split_whitespace().next()?.trim_end_matches('/').rsplit('/').next()?.to_owned())
        };
        let step = Duration::from_millis(5);
        let looks = PATIENCE.as_millis() / step.as_millis();
        let found = (0..looks).find_map(|_| {
            let found = found();
            if found.is_none() {
                std::thread::sleep(step);
            }
            found
        });
        found.unwrap_or_else(|| panic!("no address of {what} in {}", self.log()))
    }

    /// Tells it to stop, as a supervisor does, and waits for it.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let child = &mut self.child;
            scope.spawn(move || done.send(child.wait().unwrap()));
            is_done.recv_timeout(PATIENCE).expect("it stops when it is told to")
        })
    }

    /// Kills it without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A client at its admin socket.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.data)
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// API v1 over an admin socket.
#[derive(Clone)]
pub(crate) struct Client(reqwest::Client);

impl Client {
    pub(crate) fn new(data: &Path) -> Self {
        crate::house::provider();
        Self(reqwest::Client::builder().no_proxy().unix_socket(data.join("doorward.sock")).build().unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.0.get(format!("http://localhost/api/v1{path}")).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        self.0.get(format!("http://localhost{path}")).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> reqwest::Result<(u16, Value)> {
        let answer = self.0.post(format!("http://localhost/api/v1{path}")).json(&body).send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await?))
    }
}

/// Signs in by a link, as its page's button does, and asks for a page that administrators alone may see.
pub(crate) async fn is_of_an_administrator(link: &str) -> bool {
    crate::house::provider();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = client.post(link).header("content-type", "application/x-www-form-urlencoded").body("password=");
    let entered = form.send().await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let people = format!("{}/people", link.split("/link/").next().unwrap());
    let status = client.get(people).header("cookie", cookie).send().await.unwrap().status().as_u16();
    assert!([200, 403].contains(&status), "{status}");
    status == 200
}

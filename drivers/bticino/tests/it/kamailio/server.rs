//! Debian's Kamailio, started by a test on free ports of this machine. It ends with the test.

use super::{
    authority::{Authority, DOMAIN, PASSWORD, Signed},
    until,
};
use rustix::process::{Pid, Signal};
use std::{
    fs::{self, File},
    net::{TcpListener, UdpSocket},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// What is different from one test to the next.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// Seconds for which a nonce is good.
    pub(crate) nonce: u32,
    /// Whether a challenge says that the nonce was too old.
    pub(crate) says_stale: bool,
    /// Which TLS it speaks.
    pub(crate) tls: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self { nonce: 300, says_stale: true, tls: "TLSv1.2+" }
    }
}

pub(crate) struct Kamailio {
    child: Child,
    folder: TempDir,
    /// Signed both certificates.
    pub(crate) authority: Authority,
    /// What it lets in.
    pub(crate) client: Signed,
    pub(crate) tls: u16,
    pub(crate) udp: u16,
}

impl Kamailio {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let server = authority.server(&["localhost", "127.0.0.1", DOMAIN]);
        for (name, text) in
            [("ca.crt", authority.certificate.pem()), ("server.crt", server.certificate.pem()), ("server.key", server.key.serialize_pem())]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        // Between the look for a free port and its use another test may have taken it.
        for _ in 0..5 {
            let (tls, udp) = free_ports();
            configure(folder.path(), settings, tls, udp);
            let mut child = spawn(folder.path());
            if started(&mut child, folder.path(), 1).await {
                let client = authority.client("doorward");
                return Self { child, folder, authority, client, tls, udp };
            }
        }
        panic!("Kamailio does not start:\n{}", fs::read_to_string(folder.path().join("log")).unwrap());
    }

    /// Ends it as a supervisor does, and starts it on the same ports.
    pub(crate) async fn restart(&mut self) {
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        until("Kamailio ends", || self.child.try_wait().unwrap().is_some()).await;
        let times = self.count("started") + 1;
        self.child = spawn(self.folder.path());
        assert!(started(&mut self.child, self.folder.path(), times).await, "{}", self.log());
    }

    /// Stops it where it stands, so that nobody answers and nothing is closed.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process_group(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Everything that it ever wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What its configuration wrote that begins with a word or two: what follows them.
    pub(crate) fn wrote(&self, words: &str) -> Vec<String> {
        wrote(&self.log(), words)
    }

    /// How often its configuration wrote a line that begins with these words.
    pub(crate) fn count(&self, words: &str) -> usize {
        self.wrote(words).len()
    }

    /// The addresses that it knows of clients.
    pub(crate) async fn contacts(&self) -> Vec<String> {
        let control = format!("unix:{}/ctl", self.folder.path().display());
        let dump = tokio::process::Command::new("/usr/sbin/kamcmd").args(["-s", &control, "ul.dump"]).output().await.unwrap();
        let text = String::from_utf8(dump.stdout).unwrap();
        text.lines().filter_map(|line| line.trim().strip_prefix("Address: ")).map(str::to_owned).collect()
    }

    /// Waits until it knows so many addresses, after a good-bye whose answer nobody waits for.
    pub(crate) async fn forgets_all_but(&self, count: usize) -> Vec<String> {
        for _ in 0..1000 {
            let contacts = self.contacts().await;
            if contacts.len() == count {
                return contacts;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it still knows {:?}", self.contacts().await);
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

fn free_ports() -> (u16, u16) {
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port())
}

fn configure(folder: &Path, settings: Settings, tls: u16, udp: u16) {
    let values = [
        ("@FOLDER@", folder.display().to_string()),
        ("@DOMAIN@", DOMAIN.to_owned()),
        ("@PASSWORD@", PASSWORD.to_owned()),
        ("@TLS@", tls.to_string()),
        ("@UDP@", udp.to_string()),
        ("@NONCE@", settings.nonce.to_string()),
        ("@METHOD@", settings.tls.to_owned()),
        // Bits of the module: 1 offers `qop=auth`, 16 says `stale=true`.
        ("@STALE@", if settings.says_stale { "17" } else { "1" }.to_owned()),
    ];
    for (name, template) in [("kamailio.cfg", include_str!("kamailio.cfg.in")), ("tls.cfg", include_str!("tls.cfg.in"))] {
        let text = values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value));
        fs::write(folder.join(name), text).unwrap();
    }
}

/// In the foreground, in a group of its own: its workers are in it too, and end with it. A test that is ended from outside
/// drops nothing: then the system ends Kamailio, which ends its workers.
fn spawn(folder: &Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut kamailio = Command::new("setpriv");
    kamailio
        .args(["--pdeathsig", "TERM", "/usr/sbin/kamailio", "-DD", "-E", "-m", "16", "-M", "2"])
        .arg("-f")
        .arg(folder.join("kamailio.cfg"));
    kamailio.arg("-Y").arg(folder).arg("-w").arg(folder).arg("-P").arg(folder.join("pid"));
    let kamailio = kamailio.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).spawn();
    kamailio.expect("Kamailio is installed: `make test` does it")
}

/// Whether it came up for that many times; it ends at once where a port is taken.
async fn started(child: &mut Child, folder: &Path, times: usize) -> bool {
    let mut ended = false;
    until("Kamailio starts", || {
        ended = child.try_wait().unwrap().is_some();
        ended || wrote(&fs::read_to_string(folder.join("log")).unwrap(), "started").len() == times
    })
    .await;
    !ended
}

fn wrote(log: &str, words: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| line.split_once("<script>: ")).map(|(_, said)| said);
    lines.filter_map(|said| said.strip_prefix(words)).map(|rest| rest.trim_start().to_owned()).collect()
}

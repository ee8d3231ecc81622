//! Debian's SIPp, started by a test with one of the scenarios in `tests/sipp/`. It ends with the test.

use crate::authority::{DOMAIN, USER};
use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

pub(crate) struct Sipp {
    child: Child,
    scenario: String,
    folder: TempDir,
}

impl Sipp {
    /// Whoever rings, through Kamailio at this port.
    pub(crate) fn calls(scenario: &str, udp: u16, more: &[&str]) -> Self {
        let peer = format!("127.0.0.1:{udp}");
        Self::new(scenario, &[&[peer.as_str(), "-s", USER], more].concat())
    }

    /// A server over TCP, and the one connection to it.
    pub(crate) async fn serves(scenario: &str) -> (Self, TcpStream) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut sipp = Self::new(scenario, &["-t", "t1", "-p", &port.to_string()]);
        for _ in 0..4000 {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
                return (sipp, stream);
            }
            assert!(sipp.child.try_wait().unwrap().is_none(), "SIPp does not start: {}", sipp.errors());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("SIPp does not listen: {}", sipp.errors());
    }

    fn new(scenario: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "sipp", &format!("{scenario}.xml")].iter().collect();
        let mut sipp = Command::new("sipp");
        // One call, unless `more` says something else; the last word counts.
        sipp.args(["-i", "127.0.0.1", "-nostdin", "-cid_str", "ring-%u", "-key", "domain", DOMAIN, "-m", "1"]);
        sipp.args(["-timeout", "60s", "-timeout_error", "-trace_err", "-error_file"]).arg(folder.path().join("errors"));
        sipp.arg("-sf").arg(file).args(more).current_dir(folder.path()).kill_on_drop(true);
        let child = sipp.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self { child: child.expect("SIPp is installed: `make test` does it"), scenario: scenario.to_owned(), folder }
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default()
    }

    /// Ends when every call went as its scenario says.
    pub(crate) async fn done(self) {
        let Self { child, scenario, folder } = self;
        let Output { status, stdout, stderr } = child.wait_with_output().await.unwrap();
        let errors = fs::read_to_string(folder.path().join("errors")).unwrap_or_default();
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{scenario}: {status}\n{said}\n{errors}\n{}", String::from_utf8_lossy(&stdout));
    }
}

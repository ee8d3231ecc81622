//! A PostgreSQL of our own for one test: Debian's server in a temporary folder, on a free port, gone with the test.
//!
//! It knows nothing of the crate that it tests, so that other crates can take it in with `#[path]`.
//!
//! PostgreSQL refuses to run as root; then it runs as the user `postgres`. A shell beside it waits for the end of its own
//! standard input, which comes when the test ends in whatever way, and stops server and folder.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// The user and password of the server.
pub(crate) const USER: &str = "doorward";
pub(crate) const PASSWORD: &str = "correct-horse";

/// A file in the server's folder that says: it will be started again.
const KEEP: &str = "keep";

/// Quick to start and to fill; nothing here must survive a power cut.
const SETTINGS: [&str; 10] = [
    "listen_addresses=127.0.0.1",
    "max_connections=100",
    "shared_buffers=16MB",
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "jit=off",
    "timezone=UTC",
];

/// A running server. It stops when this goes.
pub(crate) struct Postgres {
    shell: Child,
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts a server. Takes about a second.
    pub(crate) fn start() -> Self {
        let bin = newest_bin();
        let folder = temporary_folder();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let data = folder.join("data");
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD).expect("the password file");

        let mut initdb = as_postgres(&bin.join("initdb"));
        initdb.arg("--pgdata").arg(&data).arg("--pwfile").arg(&password);
        initdb.args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"]);
        let made = initdb.current_dir(&folder).output().expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        let shell = serve(&bin, &folder, port);
        let server = Self { shell, bin, folder, port, databases: AtomicU32::new(0) };
        server.wait();
        server
    }

    /// Ends the server at once, as a crash does. Its folder stays.
    pub(crate) fn crash(&mut self) {
        std::fs::write(self.folder.join(KEEP), "").expect("the folder is there");
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }

    /// Starts it again after a crash, on the same port.
    pub(crate) fn recover(&mut self) {
        std::fs::remove_file(self.folder.join(KEEP)).expect("it has crashed");
        self.shell = serve(&self.bin, &self.folder, self.port);
        self.wait();
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database and gives its URL.
    pub(crate) fn database(&self) -> String {
        let name = format!("house_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs a statement past the store, as somebody with a shell on the server could.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> String {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.env("PGPASSWORD", PASSWORD).args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER, "-d", database]);
        let answer = psql.args(["-v", "ON_ERROR_STOP=1", "-qAt", "-c", statement]).output().expect("psql runs");
        assert!(answer.status.success(), "{statement}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8_lossy(&answer.stdout).trim().to_owned()
    }

    fn wait(&self) {
        let mut ready = Command::new(self.bin.join("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        for _ in 0..400 {
            if ready.status().expect("pg_isready runs").success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("PostgreSQL does not start: {}", std::fs::read_to_string(self.folder.join("log")).unwrap_or_default());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.folder.join(KEEP));
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Runs the server in its folder until the standard input of the shell beside it ends.
fn serve(bin: &Path, folder: &Path, port: u16) -> Child {
    // `"$@"` is the server; `$0` the folder to remove.
    let script = format!(r#""$@" & server=$!; cat >/dev/null; kill -QUIT $server; wait $server; [ -e "$0/{KEEP}" ] || rm -rf "$0""#);
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(folder);
    let server = as_postgres(&bin.join("postgres"));
    shell.arg(server.get_program()).args(server.get_args());
    shell.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).arg("-p").arg(port.to_string());
    for setting in SETTINGS {
        shell.arg("-c").arg(setting);
    }
    let log = std::fs::File::create(folder.join("log")).expect("the log");
    shell.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().expect("the shell runs")
}

fn newest_bin() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|folders| {
            folders.flatten().filter_map(|folder| Some((folder.file_name().to_str()?.parse().ok()?, folder.path().join("bin")))).collect()
        })
        .unwrap_or_default();
    found.sort();
    found.pop().expect("PostgreSQL is installed: apt-get install postgresql").1
}

/// A folder that the server's user owns.
fn temporary_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("doorward-postgres-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    if is_root() {
        let owned = Command::new("chown").arg("postgres").arg(&folder).status().expect("chown runs");
        assert!(owned.success(), "the user postgres exists");
    }
    folder
}

fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

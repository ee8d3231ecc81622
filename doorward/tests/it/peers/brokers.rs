//! Brokers that are not doorward's own: Debian's Mosquitto and RabbitMQ, each started by a test on free ports.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Looks, 20 ms apart: longer than a broker takes to start on a busy machine, and reached only when a test fails.
const LOOKS: u32 = 4500;

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Mosquitto with users of its own. It ends with the test.
pub(super) struct Mosquitto {
    child: Option<Child>,
    folder: TempDir,
    pub(super) port: u16,
}

impl Mosquitto {
    /// `more` are further lines of its configuration; `{folder}` stands for a folder of its own.
    pub(super) fn start(users: &[(&str, &str)], more: &str) -> Self {
        Self::start_with_rights(users, None, more)
    }

    /// One whose users may do what these lines of an `acl_file` say.
    pub(super) fn start_with_rights(users: &[(&str, &str)], rights: Option<&str>, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let passwords = folder.path().join("passwords");
        fs::write(&passwords, "").unwrap();
        for (name, password) in users {
            let made = Command::new("mosquitto_passwd").args(["-b", &passwords.display().to_string(), name, password]).output();
            assert!(made.expect("mosquitto is installed: `make test` does it").status.success());
        }
        let acl = rights.map_or("", |_| "acl_file {folder}/rights\n");
        fs::write(folder.path().join("rights"), rights.unwrap_or_default()).unwrap();
        let more = format!("{acl}{more}");
        let port = free_port();
        let text = format!(
            "listener {port} 127.0.0.1\npersistence true\npersistence_location {path}/\nallow_anonymous false\n\
             password_file {path}/passwords\nlog_dest none\n{}\n",
            more.replace("{folder}", &path)
        );
        fs::write(folder.path().join("mosquitto.conf"), text).unwrap();
        // Mosquitto gives up root's rights for a user of its own, who must reach the folder.
        open_for_all(folder.path());
        let mut broker = Self { child: None, folder, port };
        broker.run();
        broker
    }

    /// One whose users are kept by its dynamic security plugin: `admin` with a password, and another one who may do
    /// everything but keep users.
    pub(super) fn with_dynamic_security(admin: &str, (user, password): (&str, &str)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, port) = (folder.path().display().to_string(), free_port());
        let made = Command::new("mosquitto_ctrl").args(["dynsec", "init", &format!("{path}/dynsec.json"), "admin", admin]).output();
        assert!(made.expect("mosquitto is installed: `make test` does it").status.success());
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\nlog_dest none\nplugin {}\nplugin_opt_config_file {path}/dynsec.json\n",
            dynamic_security().display()
        );
        fs::write(folder.path().join("mosquitto.conf"), text).unwrap();
        open_for_all(folder.path());
        let mut broker = Self { child: None, folder, port };
        broker.run();
        let port = port.to_string();
        let control = |arguments: &[&str]| {
            let mut control = Command::new("mosquitto_ctrl");
            control.args(["-h", "127.0.0.1", "-p", &port, "-u", "admin", "-P", admin, "dynsec"]).args(arguments);
            assert!(control.output().unwrap().status.success(), "{arguments:?}");
        };
        control(&["createRole", "everything"]);
        for kind in ["publishClientSend", "subscribePattern"] {
            control(&["addRoleACL", "everything", kind, "#", "allow"]);
        }
        control(&["createClient", user, "-p", password]);
        control(&["addClientRole", user, "everything"]);
        broker
    }

    /// Starts it on the same port with the same folder.
    pub(super) fn run(&mut self) {
        let config = self.folder.path().join("mosquitto.conf");
        let child = Command::new("mosquitto").arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("mosquitto is installed: `make test` does it"));
        answers(self.port, self.child.as_mut());
    }

    /// Stops it where it stands, so that nobody answers and nothing is closed.
    pub(super) fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Ends it as a supervisor does: what it keeps is written.
    pub(super) fn halt(&mut self) {
        if let Some(mut child) = self.child.take() {
            rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The plugin, wherever Debian puts libraries of this machine.
fn dynamic_security() -> std::path::PathBuf {
    let libraries = fs::read_dir("/usr/lib").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found = libraries.map(|folder| folder.join("mosquitto_dynamic_security.so")).filter(|file| file.exists());
    found.next().expect("mosquitto is installed: `make test` does it")
}

fn open_for_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o666)).unwrap();
    }
}

/// Waits until somebody answers at a port.
fn answers(port: u16, mut child: Option<&mut Child>) {
    for _ in 0..LOOKS {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        if let Some(child) = &mut child {
            assert!(child.try_wait().unwrap().is_none(), "the broker at port {port} ended");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no broker at port {port}");
}

/// A RabbitMQ with its MQTT and management plugins, and an administrator `guest`. It ends with the test.
pub(super) struct RabbitMq {
    server: Child,
    /// The name server of Erlang, our own so that it ends too.
    names: Child,
    _folder: TempDir,
    pub(super) port: u16,
    /// The management API.
    pub(super) management: u16,
}

impl RabbitMq {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let [port, management, amqp, distribution, epmd] = [(); 5].map(|()| free_port());
        fs::write(home.join("plugins"), "[rabbitmq_management,rabbitmq_mqtt].\n").unwrap();
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\nmqtt.allow_anonymous = false\n\
             management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\nlog.console = false\nlog.file.level = error\n"
        );
        fs::write(home.join("rabbitmq.conf"), config).unwrap();
        let mut names = Command::new("epmd");
        names.args(["-address", "127.0.0.1", "-port", &epmd.to_string()]);
        let names = quiet(&mut names).spawn().expect("rabbitmq-server is installed: `make test` does it");
        let server = quiet(&mut Command::new(rabbitmq_server()))
            // What it writes when it is killed goes with the folder.
            .current_dir(home)
            .env("HOME", home)
            .env("ERL_EPMD_PORT", epmd.to_string())
            .env("RABBITMQ_NODENAME", format!("test{port}@localhost"))
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", amqp.to_string())
            .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", home.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", home.join("log"))
            .env("RABBITMQ_PID_FILE", home.join("pid"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            // Erlang is a grandchild: what ends is the group.
            .process_group(0)
            .spawn()
            .expect("rabbitmq-server is installed: `make test` does it");
        let mut broker = Self { server, names, _folder: folder, port, management };
        answers(port, Some(&mut broker.server));
        answers(management, Some(&mut broker.server));
        broker
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        let server = rustix::process::Pid::from_child(&self.server);
        let _ = rustix::process::kill_process_group(server, rustix::process::Signal::KILL);
        let _ = self.names.kill();
        for child in [&mut self.server, &mut self.names] {
            let _ = child.wait();
        }
    }
}

/// Debian's wrapper changes to another user; the server itself does not.
fn rabbitmq_server() -> std::path::PathBuf {
    let versions = fs::read_dir("/usr/lib/rabbitmq/lib").expect("rabbitmq-server is installed: `make test` does it");
    let newest = versions.filter_map(|entry| Some(entry.ok()?.path())).max();
    newest.expect("rabbitmq-server is installed: `make test` does it").join("sbin/rabbitmq-server")
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

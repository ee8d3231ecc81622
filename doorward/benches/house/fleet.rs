//! A fleet of ten thousand: provisioned, connected, updated. The devices are a process of their own.

use super::{BINARY, Figure, Line, end, free_port, rss_anon, told, until_it_answers};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Devices that are provisioned one by one, and over how many connections.
const ONE_BY_ONE: usize = 5_000;
const AT_ONCE: usize = 32;
/// Devices of the fleet.
const FLEET: usize = 10_000;
/// Bytes of the image that a whole fleet fetches, and of the one whose download is measured.
const SMALL: usize = 64 << 10;
const IMAGE: usize = 1_500_000;
/// Downloads at once, and how many in all of one round.
const DOWNLOADS: usize = 500;
const ROUND: usize = 2_000;

pub(super) async fn figures() -> Vec<Figure> {
    let scene = Scene::start().await;
    let mut figures = vec![told(scene.one_by_one().await), told(scene.batch())];
    let devices = Devices::start(&scene);
    figures.push(told(scene.memory(&devices).await));
    figures.extend(scene.rollout().await.map(told));
    drop(devices);
    figures.push(told(scene.download().await));
    figures
}

/// A doorward with a provisioning server.
struct Scene {
    child: Child,
    data: tempfile::TempDir,
    fleet: u16,
    mqtt: u16,
    token: String,
}

impl Scene {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let (http, fleet, mqtt) = (free_port(), free_port(), free_port());
        let child = Command::new(BINARY)
            .arg("--data")
            .arg(data.path())
            .arg("serve")
            .env("DOORWARD_HTTP__LISTEN", format!("127.0.0.1:{http}"))
            .env("DOORWARD_MQTT__LISTEN", format!("127.0.0.1:{mqtt}"))
            .env("DOORWARD_FLEET__LISTEN", format!("127.0.0.1:{fleet}"))
            .env("DOORWARD_LOG__LEVEL", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until_it_answers(http).await;
        let mut scene = Self { child, data, fleet, mqtt, token: String::new() };
        let made = scene.send("POST", "/tokens", json!({ "name": "bench", "scopes": ["admin"] })).await;
        made["secret"].as_str().unwrap_or_else(|| panic!("{made}")).clone_into(&mut scene.token);
        scene
    }

    fn path(&self) -> &Path {
        self.data.path()
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Value {
        let client = reqwest::Client::builder().no_proxy().unix_socket(self.path().join("doorward.sock")).build().unwrap();
        let request = client.request(method.parse().unwrap(), format!("http://localhost/api/v1{path}"));
        let request = if body.is_null() { request } else { request.json(&body) };
        request.send().await.unwrap().json().await.unwrap()
    }

    /// One request of the provisioning server for each device.
    async fn one_by_one(&self) -> Figure {
        let address = ([127, 0, 0, 1], self.fleet).into();
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for client in 0..AT_ONCE {
            let token = self.token.clone();
            clients.spawn(async move {
                let mut line = Line::connect(address, &token).await;
                for number in (client..ONE_BY_ONE).step_by(AT_ONCE) {
                    let answer = line.post(&format!("/provision/{}", id("B0B0", number)), "").await;
                    let told: Value = serde_json::from_slice(&answer).unwrap();
                    assert!(told["mqtt_password"].is_string(), "{told}");
                }
            });
        }
        clients.join_all().await;
        let rate = ratio(ONE_BY_ONE) / began.elapsed().as_secs_f64();
        let what = "Fleet, devices provisioned one by one";
        Figure { what, measured: format!("{rate:.0}/s"), limit: "1,000/s".into(), ratio: 1_000.0 / rate }
    }

    fn results(&self) -> PathBuf {
        self.path().join("results.csv")
    }

    fn start_batch(&self) -> Child {
        let mut command = Command::new(BINARY);
        command.arg("--data").arg(self.path()).args(["device", "batch"]).arg(self.path().join("devices.csv"));
        command.arg("--out").arg(self.results()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// A list, killed in the middle and begun again.
    fn batch(&self) -> Figure {
        let rows: String = (0..FLEET).map(|number| format!("{},Gateway {number}", id("C0DE", number))).collect::<Vec<_>>().join("\n");
        std::fs::write(self.path().join("devices.csv"), format!("id,name\n{rows}")).unwrap();
        let lines = || std::fs::read_to_string(self.results()).map_or(0, |text| text.lines().count());
        let began = Instant::now();
        let mut first = self.start_batch();
        while lines() < FLEET / 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        first.kill().unwrap();
        first.wait().unwrap();
        assert!(lines() < FLEET, "it was in the middle");
        assert!(self.start_batch().wait().unwrap().success());
        let took = began.elapsed().as_secs_f64();
        let good = std::fs::read_to_string(self.results()).unwrap().lines().filter(|line| line.ends_with(",ok,")).count();
        assert_eq!(good, FLEET);
        let what = "Fleet, batch of 10,000, killed in the middle and resumed";
        Figure { what, measured: format!("{took:.1} s"), limit: "30 s".into(), ratio: took / 30.0 }
    }

    /// Both processes, after each device has reported at least once more.
    async fn memory(&self, devices: &Devices) -> Figure {
        let before = [ticks(self.child.id()), ticks(devices.child.id())];
        tokio::time::sleep(Duration::from_secs(70)).await;
        let after = [ticks(self.child.id()), ticks(devices.child.id())];
        let [own, theirs] = [self.child.id(), devices.child.id()].map(|process| rss_anon(process) / 1024.0);
        let spent = [after[0] - before[0], after[1] - before[1]].map(|ticks| ratio(ticks) / 70.0);
        assert_eq!(self.online().await, FLEET, "all of them are there");
        Figure {
            what: "Fleet, 10,000 devices that report every minute",
            measured: format!(
                "{:.0} MiB (doorward {own:.0}, devices {theirs:.0}; {:.1} % and {:.1} % of a core)",
                own + theirs,
                spent[0],
                spent[1]
            ),
            limit: "600 MiB".into(),
            ratio: (own + theirs) / 600.0,
        }
    }

    async fn metric(&self, name: &str) -> f64 {
        let client = reqwest::Client::builder().no_proxy().unix_socket(self.path().join("doorward.sock")).build().unwrap();
        let text = client.get("http://localhost/metrics").send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    async fn online(&self) -> usize {
        // What is to be counted is rounded to a device.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let count = self.metric("doorward_devices{state=\"online\"}").await as usize;
        count
    }

    fn add_firmware(&self, version: &str, bytes: usize) -> Vec<u8> {
        let mut image = vec![0xA5; bytes];
        image[0] = 0xE9;
        image[32..36].copy_from_slice(&[0x32, 0x54, 0xCD, 0xAB]);
        image[48..112].fill(0);
        image[48..48 + version.len()].copy_from_slice(version.as_bytes());
        let file = self.path().join(format!("{version}.bin"));
        std::fs::write(&file, &image).unwrap();
        let made = Command::new(BINARY).arg("--data").arg(self.path()).args(["firmware", "add"]).arg(&file).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        image
    }

    /// The longest round of a rollout to all of them, and how long all of it took.
    async fn rollout(&self) -> [Figure; 2] {
        self.add_firmware("2.1.0", SMALL);
        let plan = json!({ "version": "2.1.0", "groups": [1, 10, 100], "success": 90, "at_once": 1_000 });
        let made = self.send("POST", "/rollouts", plan).await;
        let path = format!("/rollouts/{}", made["id"].as_str().unwrap_or_else(|| panic!("{made}")));
        self.send("POST", &format!("{path}/approve"), Value::Null).await;
        let (began, mut longest, mut done) = (Instant::now(), 0.0_f64, 0);
        while began.elapsed() < Duration::from_mins(10) {
            let now = self.send("GET", &path, Value::Null).await;
            longest = longest.max(self.metric("doorward_rollout_round_seconds").await);
            done = now["groups"].as_array().unwrap().iter().map(|group| group["done"].as_u64().unwrap()).sum();
            if now["state"] == "done" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let took = began.elapsed().as_secs_f64();
        let planning = Figure {
            what: "Fleet, a rollout to 10,000: its longest round",
            measured: format!("{:.0} ms", longest * 1000.0),
            limit: "1 s".into(),
            ratio: longest,
        };
        let whole = Figure {
            what: "Fleet, that rollout until 9 of 10 devices run it",
            measured: format!("{took:.0} s, {done} devices"),
            limit: "–".into(),
            ratio: f64::NAN,
        };
        [planning, whole]
    }

    /// An image from the provisioning server and from nginx, in turn.
    async fn download(&self) -> Figure {
        let image = self.add_firmware("3.0.0", IMAGE);
        let results = std::fs::read_to_string(self.results()).unwrap();
        let (id, token) = results.lines().nth(1).map(|line| line.split(',').collect::<Vec<_>>()).map(|row| (row[0], row[5])).unwrap();
        let nginx = Nginx::start(&image).await;
        let ours = format!("GET /firmware/{id}/3.0.0 HTTP/1.1\r\nHost: x\r\nX-Device-Token: {token}\r\n\r\n");
        let theirs = "GET /image.bin HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..3 {
            rates[0].push(download(self.fleet, &ours).await);
            rates[1].push(download(nginx.port, &theirs).await);
        }
        let [own, peer] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[1]
        });
        Figure {
            what: "Fleet, download of an image, 500 at once",
            measured: format!("{own:.0} MiB/s"),
            limit: format!("0.7 × {peer:.0} MiB/s of nginx"),
            ratio: 0.7 * peer / own,
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The simulated devices of the batch.
struct Devices {
    child: Child,
}

impl Devices {
    fn start(scene: &Scene) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["sim", "device", "--from"]).arg(scene.results()).args(["--broker", &format!("127.0.0.1:{}", scene.mqtt)]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let all = format!("{FLEET} of {FLEET} ");
        lines.find(|line| line.starts_with(&all)).expect("all of them connect");
        // Read on, so that it can say more.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child }
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Mebibytes in a second, until the last of a round is there.
async fn download(port: u16, request: &str) -> f64 {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..DOWNLOADS {
        let request = request.to_owned();
        clients.spawn(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let mut buffer = vec![0; 64 << 10];
            for _ in 0..ROUND / DOWNLOADS {
                fetch(&mut stream, &request, &mut buffer).await;
            }
        });
    }
    clients.join_all().await;
    ratio(ROUND * IMAGE) / f64::from(1 << 20) / began.elapsed().as_secs_f64()
}

/// One image on a kept-alive connection.
async fn fetch(stream: &mut TcpStream, request: &str, buffer: &mut [u8]) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = 0;
    let head = loop {
        read += stream.read(&mut buffer[read..]).await.unwrap();
        if let Some(end) = buffer[..read].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..head]));
    let mut body = read - head;
    while body < IMAGE {
        let more = stream.read(buffer).await.unwrap();
        assert!(more > 0, "the connection ended");
        body += more;
    }
    assert_eq!(body, IMAGE);
}

/// An nginx that serves a folder, with as many workers as there are cores.
struct Nginx {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn start(image: &[u8]) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("image.bin"), image).unwrap();
        let port = free_port();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {path}/{kind};\n"));
        let config = format!(
            "daemon off;\nworker_processes auto;\npid {path}/pid;\nerror_log {path}/error.log;\nevents {{ worker_connections 4096; }}\n\
             http {{\naccess_log off;\nsendfile on;\ntcp_nopush on;\nkeepalive_requests 100000;\n{}\
             server {{ listen 127.0.0.1:{port}; root {path}; }}\n}}\n",
            temporary.concat()
        );
        std::fs::write(folder.path().join("conf"), config).unwrap();
        let binary = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let mut command = Command::new(binary);
        command.arg("-e").arg(folder.path().join("early.log")).arg("-c").arg(folder.path().join("conf"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let nginx = Self { child: child.expect("nginx is installed: `scripts/install test` does it"), port, _folder: folder };
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Processor time of a process, in hundredths of a second.
fn ticks(process: u32) -> usize {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after = stat.rsplit(')').next().unwrap();
    after.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<usize>().unwrap()).sum()
}

/// What a device prints whose MAC has no byte below 16: of those its firmware prints one digit.
fn id(begins: &str, number: usize) -> String {
    let bytes = [1_000_000, 10_000, 100, 1].map(|place| format!("{:02X}", 16 + number / place % 100));
    format!("{begins}{}", bytes.concat())
}

#[expect(clippy::cast_precision_loss, reason = "small enough")]
fn ratio(count: usize) -> f64 {
    count as f64
}

//! A relay with an HTTP interface, as hang beside many garage doors: a request closes a contact, another asks how it is.
//!
//! ```text
//! POST /open                  opens for a moment
//! POST /lock · POST /unlock   turns the bolt
//! GET  /state                 {"bolt":"locked"}
//! ```
//!
//! A request must say `Authorization: Bearer relay-secret`. What goes wrong is a [`Mood`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a request must say to be let in.
pub const AUTHORIZATION: &str = "Bearer relay-secret";
/// Bytes of a request that are read.
const MOST: usize = 16 * 1024;

/// How the relay behaves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mood {
    /// As it should.
    #[default]
    Good,
    /// Takes each request and answers 503, without doing anything.
    OutOfOrder,
    /// Takes each request and never answers.
    Silent,
    /// Answers late.
    Slow,
    /// Takes each request and answers what is no HTTP.
    Garbage,
    /// Answers 403.
    Refuses,
    /// Answers 200 to each command and does not move.
    Lies,
    /// Answers 302 to somewhere else.
    Redirects,
}

/// What the relay has counted and where its bolt is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Requests of any kind.
    pub requests: u64,
    /// Requests to open or unlock, whatever became of them.
    pub open_requests: u64,
    /// How often it opened or unlocked.
    pub opened: u64,
    /// Whether the bolt is drawn.
    pub unlocked: bool,
}

#[derive(Default)]
struct Inside {
    mood: Mood,
    seen: Seen,
}

/// A running relay.
pub struct Relay {
    address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    serving: JoinHandle<()>,
}

impl Relay {
    /// Starts one on a free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let inside: Arc<Mutex<Inside>> = Arc::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&inside)));
        Ok(Self { address, inside, serving })
    }

    /// The address of one of its paths.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Changes how it behaves.
    pub fn set_mood(&self, mood: Mood) {
        lock(&self.inside).mood = mood;
    }

    /// What it has counted.
    #[must_use]
    pub fn seen(&self) -> Seen {
        lock(&self.inside).seen
    }

    /// Turns the bolt by hand.
    pub fn turn(&self, unlocked: bool) {
        lock(&self.inside).seen.unlocked = unlocked;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, inside: Arc<Mutex<Inside>>) {
    let mut conversations = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let inside = Arc::clone(&inside);
        conversations.spawn(async move { drop(converse(stream, &inside).await) });
    }
}

/// One request for each connection, as small devices do it.
async fn converse(mut stream: TcpStream, inside: &Mutex<Inside>) -> io::Result<()> {
    let Some(head) = request(&mut stream).await? else { return Ok(()) };
    let (method, path) = first_line(&head);
    let command = method == "POST" && matches!(path.as_str(), "/open" | "/lock" | "/unlock");
    let mood = {
        let mut inside = lock(inside);
        inside.seen.requests += 1;
        inside.seen.open_requests += u64::from(command && path != "/lock");
        inside.mood
    };
    if !head.to_ascii_lowercase().contains(&format!("authorization: {}", AUTHORIZATION.to_ascii_lowercase())) {
        return answer(&mut stream, "401 Unauthorized", "").await;
    }
    match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Garbage => stream.write_all(b"\x00\x01 certainly \xff\xff\r\n\r\n").await,
        Mood::OutOfOrder => answer(&mut stream, "503 Service Unavailable", "").await,
        Mood::Refuses => answer(&mut stream, "403 Forbidden", "").await,
        Mood::Redirects => answer(&mut stream, "302 Found\r\nLocation: http://127.0.0.1:1/open", "").await,
        Mood::Slow | Mood::Good | Mood::Lies => {
            if mood == Mood::Slow {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            if command && mood != Mood::Lies {
                turn(&mut lock(inside).seen, &path);
            }
            let bolt = if lock(inside).seen.unlocked { "unlocked" } else { "locked" };
            answer(&mut stream, "200 OK", &format!("{{\"bolt\":\"{bolt}\"}}")).await
        }
    }
}

fn turn(seen: &mut Seen, path: &str) {
    seen.opened += u64::from(path != "/lock");
    match path {
        "/lock" => seen.unlocked = false,
        "/unlock" => seen.unlocked = true,
        _ => {}
    }
}

/// The head of a request; nothing when the caller went away before its end.
async fn request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut byte = [0; 512];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut byte).await?;
        if count == 0 || head.len() > MOST {
            return Ok(None);
        }
        head.extend_from_slice(&byte[..count]);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

fn first_line(head: &str) -> (String, String) {
    let mut words = head.split_whitespace();
    (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned())
}

async fn answer(stream: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let text =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await
}

fn lock(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

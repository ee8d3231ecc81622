//! The connection itself: kept warm, and given up when nothing is heard any more.
//!
//! [`Line::run`] serves one connection from its first byte to its last. Orders that come while there is none wait for a
//! few seconds ([`Orders::hold`]), and are told that nothing was sent when there is still none. A connection on which an
//! answer did not come is torn down at once, so that what the network still holds of it cannot arrive late.

use super::{
    Patience,
    commands::Commands,
    connect::lost,
    orders::sleep,
    session::{End, Happening, Identity, Session},
};
pub use super::{
    connect::{Lost, Server, connect},
    orders::{Order, Orders, orders},
};
use doorward_core::{Mono, Now, driver::Ctx};
use std::{collections::HashMap, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    net::TcpStream,
    sync::oneshot,
};
use tokio_rustls::client::TlsStream;

/// After so long without a sound the server is asked for one. Below the two minutes after which many routers forget.
const QUIET: Duration = Duration::from_secs(45);
/// How long a sound is waited for.
const SOUND: Duration = Duration::from_secs(10);
/// A server that answers no pings is registered with this often, to hear whether it is there.
const REGISTER_AT_LEAST: Duration = Duration::from_secs(110);
/// However short a registration the server grants, it is not asked more often than this.
const REGISTER_AT_MOST: Duration = Duration::from_secs(10);
/// After so long a registration is tried again that was refused for now.
const REGISTER_AGAIN: Duration = Duration::from_mins(1);
/// How long bytes may wait for the network.
const STALL: Duration = Duration::from_secs(5);
/// A wall clock that moved this much against the other one: the machine slept, and the connection with it.
const SLEPT: Duration = Duration::from_secs(5);
/// How long a connection that is not needed any more has for its last words.
const FAREWELL: Duration = Duration::from_secs(2);
/// And one that somebody rings on, when another has taken over.
const SUCCEEDED: Duration = Duration::from_mins(2);
/// Bytes read at once.
const CHUNK: usize = 2048;

/// What a connection needs to know.
pub struct Line<'a> {
    /// The house.
    pub ctx: &'a dyn Ctx,
    /// Who we are.
    pub identity: Arc<Identity>,
    /// How long it rings.
    pub patience: Patience,
    /// What was sent to the gateway on any of its connections.
    pub commands: Arc<Commands>,
    /// Whether the server is told where we are, so that it rings here. A connection that is not registered is there for
    /// the orders that wait, and ends with them, at once when there are none.
    pub registers: bool,
}

/// A connection at work.
struct Work<'a, 'b> {
    line: &'b Line<'a>,
    session: Session,
    reader: ReadHalf<TlsStream<TcpStream>>,
    writer: WriteHalf<TlsStream<TcpStream>>,
    tickets: HashMap<u64, oneshot::Sender<End>>,
    next_ticket: u64,
    clock: Clock,
    retiring: Option<Mono>,
    /// What rings here is not cut off.
    patient: bool,
    /// The server does not take our password: what is under way is finished, and nothing else is asked.
    refused: Option<String>,
}

/// What is due when.
struct Clock {
    /// Both clocks when they were last looked at.
    last: Now,
    /// When something was last heard.
    heard: Mono,
    /// When the server was asked for a sound.
    pinged: Option<Mono>,
    /// Whether it ever answered such a question.
    pongs: bool,
    /// The server knows where we are.
    registered: bool,
    /// When the registration is renewed.
    register: Option<Mono>,
    /// Since when bytes wait for the network.
    stalled: Option<Mono>,
    /// Bytes were written and may still be on their way out.
    unflushed: bool,
}

impl Line<'_> {
    /// Serves a connection until it is lost or retired. `tell` hears what follows for the house.
    pub async fn run(&self, stream: TlsStream<TcpStream>, orders: &mut Orders, tell: &mut (dyn FnMut(Happening) + Send)) -> Lost {
        let local = match stream.get_ref().0.local_addr() {
            Ok(local) => local,
            Err(error) => return Lost::Closed(error.to_string()),
        };
        let now = self.ctx.now();
        let (reader, writer) = tokio::io::split(stream);
        let mut work = Work {
            line: self,
            session: Session::new(Arc::clone(&self.identity), local, self.patience, Arc::clone(&self.commands), self.ctx),
            reader,
            writer,
            tickets: HashMap::new(),
            next_ticket: 0,
            clock: Clock {
                last: now,
                heard: now.mono,
                pinged: None,
                pongs: false,
                registered: false,
                register: None,
                stalled: None,
                unflushed: false,
            },
            retiring: None,
            patient: false,
            refused: None,
        };
        if self.registers {
            work.session.register(self.ctx);
        }
        let lost = work.serve(orders, tell).await;
        work.close(&lost, tell);
        lost
    }
}

/// What happened first.
enum First {
    /// So many bytes; none when all of them are on their way.
    Pushed(io::Result<usize>),
    Read(io::Result<usize>),
    Ordered(Option<Order>),
    Due,
}

/// Writes some bytes, or sees those through that were written before.
async fn push(writer: &mut WriteHalf<TlsStream<TcpStream>>, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(bytes).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

impl Work<'_, '_> {
    async fn serve(&mut self, orders: &mut Orders, tell: &mut (dyn FnMut(Happening) + Send)) -> Lost {
        let ctx = self.line.ctx;
        let mut chunk = vec![0; CHUNK];
        loop {
            self.tell(tell);
            let now = ctx.now();
            if let Some(lost) = self.due(now) {
                return lost;
            }
            if !self.line.registers && self.tickets.is_empty() && orders.is_empty() {
                return Lost::Retired;
            }
            let wait = self.deadline().map(|at| at.since(now.mono));
            let writes = !self.session.outgoing().is_empty();
            let first = tokio::select! {
                biased;
                pushed = push(&mut self.writer, self.session.outgoing()), if writes || self.clock.unflushed => First::Pushed(pushed),
                read = self.reader.read(&mut chunk) => First::Read(read),
                order = orders.next(), if self.refused.is_none() && (self.retiring.is_none() || self.patient) => First::Ordered(order),
                () = sleep(ctx, wait) => First::Due,
            };
            let now = ctx.now();
            match first {
                First::Pushed(Ok(0)) => (self.clock.unflushed, self.clock.stalled) = (false, None),
                First::Pushed(Ok(count)) => {
                    self.session.sent(count);
                    (self.clock.unflushed, self.clock.stalled) = (true, Some(now.mono));
                }
                First::Read(Ok(0)) => return Lost::Closed("by the server".into()),
                First::Read(Ok(count)) => {
                    self.clock.heard = now.mono;
                    self.clock.pongs |= self.clock.pinged.take().is_some();
                    if let Err(broken) = self.session.received(&chunk[..count], ctx) {
                        return broken.into();
                    }
                }
                First::Pushed(Err(error)) | First::Read(Err(error)) => return lost(&error, None),
                // A connection that slept with the machine is not trusted with a command: the order waits for the next one.
                First::Ordered(Some(order)) if now.drift(self.clock.last) > SLEPT => {
                    orders.put_back(order, ctx);
                }
                First::Ordered(Some(order)) => {
                    self.obey(order);
                    // What waits beside it goes out with it.
                    while let Some(order) = orders.next_now() {
                        self.obey(order);
                    }
                }
                First::Ordered(None) if self.retiring.is_some() => return Lost::Retired,
                First::Ordered(None) => self.retire(FAREWELL),
                First::Due => {}
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let ctx = self.line.ctx;
        match order {
            Order::Open { gate, once, end } => {
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                self.tickets.insert(ticket, end);
                self.session.open(ticket, gate, once, ctx);
            }
            Order::EndCall { call, status } => self.session.end_call(&call, status, ctx),
            Order::Retire => self.retire(FAREWELL),
            Order::Succeeded => {
                self.patient = true;
                self.retire(SUCCEEDED);
            }
        }
    }

    fn retire(&mut self, within: Duration) {
        let ctx = self.line.ctx;
        if std::mem::take(&mut self.clock.registered) {
            self.session.leave(ctx);
        }
        self.clock.register = None;
        self.retiring = Some(ctx.now().mono.plus(within));
    }

    /// Does what is due; says when that is the end.
    fn due(&mut self, now: Now) -> Option<Lost> {
        let ctx = self.line.ctx;
        if now.drift(self.clock.last) > SLEPT {
            return Some(Lost::Silent("the clock was moved, or the machine slept"));
        }
        self.clock.last = now;
        if !self.session.tick(ctx) {
            return Some(Lost::Silent("no answer in time"));
        }
        if self.session.openings() == 0
            && let Some(why) = self.refused.take()
        {
            return Some(Lost::PasswordRefused(why));
        }
        // Nobody waits for the answer to a good-bye.
        let rings = self.patient && self.session.rings();
        let done = self.session.openings() == 0 && self.session.outgoing().is_empty() && !self.clock.unflushed && !rings;
        if self.retiring.is_some_and(|until| done || until <= now.mono) {
            return Some(Lost::Retired);
        }
        if self.clock.stalled.is_some_and(|since| now.mono.since(since) >= STALL) {
            return Some(Lost::Silent("the network takes nothing"));
        }
        match self.clock.pinged {
            Some(pinged) if now.mono.since(pinged) < SOUND => {}
            Some(_) if self.clock.pongs => return Some(Lost::Silent("no sound")),
            // It may never answer pings: registrations tell whether it is there.
            Some(_) => (self.clock.pinged, self.clock.heard) = (None, now.mono),
            None if now.mono.since(self.clock.heard) >= QUIET => {
                self.session.ping();
                self.clock.pinged = Some(now.mono);
            }
            None => {}
        }
        if self.clock.register.is_some_and(|at| at <= now.mono) {
            self.clock.register = None;
            self.session.register(ctx);
        }
        if self.session.outgoing().is_empty() && !self.clock.unflushed {
            self.clock.stalled = None;
        } else {
            self.clock.stalled.get_or_insert(now.mono);
        }
        None
    }

    fn deadline(&self) -> Option<Mono> {
        let clock = &self.clock;
        let sound = clock.pinged.map_or_else(|| clock.heard.plus(QUIET), |pinged| pinged.plus(SOUND));
        let stall = clock.stalled.map(|since| since.plus(STALL));
        [Some(sound), stall, clock.register, self.session.deadline(), self.retiring].into_iter().flatten().min()
    }

    fn tell(&mut self, tell: &mut (dyn FnMut(Happening) + Send)) {
        while let Some(happening) = self.session.news() {
            match happening {
                Happening::Opened { ticket, end } => {
                    if let End::Refused(refusal) = &end
                        && refusal.wrong_password
                    {
                        self.refused = Some(format!("{} {}", refusal.status, refusal.reason));
                    }
                    if let Some(sender) = self.tickets.remove(&ticket) {
                        // Whoever asked may have gone.
                        let _ = sender.send(end);
                    }
                }
                // It was under way when this connection was told to go.
                Happening::Registered(_) | Happening::NotRegistered(_) if self.retiring.is_some() => {}
                Happening::Registered(granted) => {
                    self.clock.registered = true;
                    let most = if self.clock.pongs { granted } else { granted.min(REGISTER_AT_LEAST) };
                    self.clock.register = Some(self.line.ctx.now().mono.plus(most.min(granted * 3 / 4).max(REGISTER_AT_MOST)));
                    tell(Happening::Registered(granted));
                }
                Happening::NotRegistered(refusal) => {
                    self.clock.registered = false;
                    // Whoever knows our password and does not want it is not asked again by itself.
                    let again = (!refusal.is_for_good()).then(|| refusal.retry_after.unwrap_or_default().max(REGISTER_AGAIN));
                    if refusal.is_for_good() {
                        self.refused = Some(format!("{} {}", refusal.status, refusal.reason));
                    }
                    self.clock.register = again.map(|wait| self.line.ctx.now().mono.plus(wait));
                    tell(Happening::NotRegistered(refusal));
                }
                other @ (Happening::Replied { .. } | Happening::Rings { .. } | Happening::RingOver { .. } | Happening::Said(_)) => {
                    tell(other);
                }
            }
        }
    }

    /// Ends it, and says of everything under way what became of it.
    fn close(mut self, lost: &Lost, tell: &mut (dyn FnMut(Happening) + Send)) {
        let unsure = self.session.waiting() > 0 || !self.session.outgoing().is_empty() || self.clock.unflushed;
        self.session.close();
        self.tell(tell);
        if unsure && *lost != Lost::Retired {
            // Bytes that the system still holds must not arrive when the network comes back: they are thrown away with it.
            let stream = self.reader.unsplit(self.writer);
            if let Err(error) = stream.get_ref().0.set_zero_linger() {
                tracing::debug!(%error, "a connection could not be torn down");
            }
        }
    }
}

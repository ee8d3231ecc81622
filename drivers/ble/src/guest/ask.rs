//! Asks for a session, in the version that the guest was enrolled in.

use super::{Enrolment, Guest, GuestError, Held, Progress, Tell};
use crate::{
    clock::{Clock, random, seconds},
    radio::{Connection, Notifications, Radio, RadioError},
};
use doorward_core::driver::BoxFuture;
use doorward_wire::{
    Time,
    ble::{
        compat::{PrivateKey, PublicKey, open_answer},
        framing::{PAUSE, Reassembly, split},
        request::{Request, Response, Trouble},
        session::{OpenError, Session},
        v2::{self, Answer, Ask, Asked, FrameError, Given, Hello, Why},
    },
};
use std::num::NonZeroUsize;

/// Around a piece: the head of a write, and its names and numbers.
const AROUND: usize = 3 + r#"{"chunk_index":63,"total_chunks":64,"data":""}"#.len();

impl Guest {
    /// Gets a session.
    pub async fn session(&self, radio: &dyn Radio, clock: &dyn Clock, tell: Tell<'_>) -> Result<Held, GuestError> {
        let visit = move |connection: Box<dyn Connection>| -> BoxFuture<'_, Result<Held, GuestError>> {
            Box::pin(async move {
                let asked = self.ask(&*connection, clock, tell).await;
                connection.disconnect().await;
                asked
            })
        };
        let held = self.visit(&|sighting| self.config.find.is(sighting), &visit, radio, clock, tell).await?;
        if held.end() <= clock.now().utc {
            return Err(GuestError::Over);
        }
        tell(Progress::Session(held.end()));
        Ok(held)
    }

    async fn ask(&self, connection: &dyn Connection, clock: &dyn Clock, tell: Tell<'_>) -> Result<Held, GuestError> {
        let version = if matches!(self.enrolment, Enrolment::V2 { .. }) { 2 } else { 1 };
        let characteristic = if version == 2 { self.config.provision } else { self.config.request };
        if !connection.has(self.config.service, characteristic) {
            return Err(GuestError::NoIssuer(version));
        }
        tell(Progress::Asking(version));
        let told = connection.subscribe(characteristic).await?;
        match &self.enrolment {
            Enrolment::V2 { key, issuer } => self.ask_v2(key, issuer, connection, told, clock).await,
            Enrolment::V1 { key, issuer } => self.ask_v1(Some((key, issuer)), connection, told, clock).await,
            Enrolment::Plain => self.ask_v1(None, connection, told, clock).await,
        }
    }

    async fn ask_v1(
        &self,
        keys: Option<(&PrivateKey, &PublicKey)>,
        connection: &dyn Connection,
        mut told: Notifications,
        clock: &dyn Clock,
    ) -> Result<Held, GuestError> {
        let request = Request {
            lock: self.config.lock.clone(),
            client_time: self.own_time(clock),
            public_key: keys.map(|(key, _)| key.public().to_pem()),
            client_id: self.config.client_id.clone(),
            phone_mac: self.config.phone_mac,
            invite: self.config.invite.clone(),
        };
        let body = request.write();
        let pieces = split(body.as_bytes(), self.chunk(connection)).map_err(|_| GuestError::TooLong)?;
        for (number, piece) in pieces.enumerate() {
            if number > 0 {
                clock.sleep(PAUSE).await;
            }
            connection.write(self.config.request, piece.as_bytes()).await?;
        }
        let mut answers = Answers { pieces: Reassembly::default(), keys, foreign: None };
        let heard = async {
            loop {
                let Some(value) = told.next().await else { return Err(RadioError::Disconnected("before the answer".into()).into()) };
                match answers.take(&value, clock.now().utc) {
                    Ok(None) => {}
                    Ok(Some(session)) => return Ok(session),
                    Err(error) => return Err::<Session, GuestError>(error),
                }
            }
        };
        let heard = tokio::select! {
            heard = heard => Some(heard),
            () = clock.sleep(self.config.answer) => None,
        };
        let session = match heard {
            Some(session) => session?,
            // What was not told may be there to read, if it is short.
            None => match connection.read(self.config.request).await {
                Ok(value) => answers.take(&value, clock.now().utc)?.ok_or_else(|| answers.none())?,
                Err(_) => return Err(answers.none()),
            },
        };
        Ok(Held { lock: request.lock, session, slot: self.config.slot, ways: v2::Ways::TOKEN, given: None })
    }

    async fn ask_v2(
        &self,
        key: &v2::Guest,
        issuer: &v2::Identity,
        connection: &dyn Connection,
        mut told: Notifications,
        clock: &dyn Clock,
    ) -> Result<Held, GuestError> {
        let asked = match self.write_v2(key, issuer, connection, clock).await {
            // The challenge may have been too old: once more.
            Err(GuestError::Radio(RadioError::Refused(_))) => self.write_v2(key, issuer, connection, clock).await?,
            asked => asked?,
        };
        let heard = async {
            let mut foreign = None;
            loop {
                match told.next().await.map(|frame| asked.open(&frame)) {
                    Some(Ok(answer)) => return Ok(answer),
                    // An adapter may tell all what is for one.
                    Some(Err(error)) => foreign = Some(error),
                    None => return Err(foreign.map_or(GuestError::Radio(RadioError::Disconnected("before the answer".into())), Into::into)),
                }
            }
        };
        let answer = tokio::select! {
            heard = heard => heard?,
            () = clock.sleep(self.config.answer) => return Err(GuestError::NoAnswer),
        };
        match answer {
            Answer::Given(given) => Ok(self.hold(given)),
            Answer::Refused(why) => Err(GuestError::Refused(word(why).into())),
        }
    }

    async fn write_v2(
        &self,
        key: &v2::Guest,
        issuer: &v2::Identity,
        connection: &dyn Connection,
        clock: &dyn Clock,
    ) -> Result<Asked, GuestError> {
        let hello = Hello::read(&connection.read(self.config.provision).await?)?;
        let ask = Ask {
            lock: self.config.lock.clone(),
            client_time: self.own_time(clock),
            invite: self.config.invite.clone().unwrap_or_default(),
        };
        let (frame, asked) = ask.seal(&hello, issuer, key, random(clock))?;
        connection.write(self.config.provision, &frame).await?;
        Ok(asked)
    }

    fn hold(&self, given: Given) -> Held {
        let session = Session {
            key: given.key.clone(),
            expiry: given.expiry,
            nonce: given.nonce(),
            phone_mac: None,
            clock_offset: self.config.tell_time.then_some(given.clock_offset.into()),
        };
        Held { lock: self.config.lock.clone(), session, slot: given.slot, ways: given.ways, given: Some(given) }
    }

    fn own_time(&self, clock: &dyn Clock) -> Option<u64> {
        self.config.tell_time.then(|| seconds(clock.now().utc))
    }

    fn chunk(&self, connection: &dyn Connection) -> NonZeroUsize {
        let carried = usize::from(connection.mtu()).saturating_sub(AROUND) / 4 * 3;
        NonZeroUsize::new(carried).map_or(self.config.chunk, |carried| carried.min(self.config.chunk))
    }
}

/// What comes back in version 1.
struct Answers<'a> {
    pieces: Reassembly,
    keys: Option<(&'a PrivateKey, &'a PublicKey)>,
    foreign: Option<OpenError>,
}

impl Answers<'_> {
    /// Takes what was told. `None` waits for more: it was a piece, or for somebody else.
    fn take(&mut self, value: &[u8], now: Time) -> Result<Option<Session>, GuestError> {
        let Some(body) = self.pieces.take(value, now).unwrap_or_default() else { return Ok(None) };
        match (Response::read(&body), self.keys) {
            (Some(Response::Error(word)), _) => Err(GuestError::Refused(word)),
            (Some(Response::Sealed(sealed)), Some((key, issuer))) => match open_answer(&sealed, key, issuer) {
                Ok(session) => Ok(Some(session)),
                // An adapter may tell all what is for one.
                Err(error @ OpenError::Undecryptable) => {
                    self.foreign = Some(error);
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            },
            (Some(Response::Plain(session)), None) => Ok(Some(session)),
            (Some(Response::Plain(_)), Some(_)) => Err(GuestError::InClear),
            (Some(Response::Sealed(_)) | None, _) => Ok(None),
        }
    }

    fn none(&self) -> GuestError {
        self.foreign.map_or(GuestError::NoAnswer, Into::into)
    }
}

impl From<FrameError> for GuestError {
    fn from(error: FrameError) -> Self {
        if error == FrameError::TooLong { Self::TooLong } else { Self::Frame(error) }
    }
}

/// The word of version 1.
const fn word(why: Why) -> &'static str {
    match why {
        Why::InvalidRequest => Trouble::InvalidRequest,
        Why::NotEnrolled => Trouble::NotEnrolled,
        Why::NoGrant => Trouble::NoGrant,
        Why::RateLimited => Trouble::RateLimited,
        Why::InviteRefused => Trouble::InviteRefused,
        Why::InternalError => Trouble::InternalError,
    }
    .as_str()
}

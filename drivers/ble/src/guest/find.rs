//! Which beacon is it: looks for one after the other, until one does what is wanted.

use super::{Guest, GuestError, Progress, Tell};
use crate::{
    clock::Clock,
    radio::{Address, Connection, Radio, RadioError, Scan, Sighting},
};
use doorward_core::{Mono, driver::BoxFuture};
use doorward_wire::ble::{COMPANY, ISSUER_DATA, ISSUER_NAME};

/// How often one is tried.
const TRIES: usize = 2;
/// How often any is tried.
const MOST_TRIES: usize = 16;

/// Which beacon is the issuer: any of these is enough, as anybody can send each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    /// Its address.
    pub address: Option<Address>,
    /// Its name.
    pub name: Option<String>,
    /// A company and its data.
    pub manufacturer: Option<(u16, Vec<u8>)>,
}

impl Default for Find {
    fn default() -> Self {
        Self { address: None, name: Some(ISSUER_NAME.into()), manufacturer: Some((COMPANY, ISSUER_DATA.into())) }
    }
}

impl Find {
    /// Whether this is one.
    pub fn is(&self, sighting: &Sighting) -> bool {
        let manufacturer = sighting.manufacturer.as_ref().map(|heard| (heard.company, heard.bytes()));
        self.address == Some(sighting.address)
            || (self.name.is_some() && self.name.as_deref() == sighting.name.as_deref())
            || (manufacturer.is_some() && manufacturer == self.manufacturer.as_ref().map(|(company, data)| (*company, &data[..])))
    }
}

/// What is done with who was found, and whether it is looked on after an error: see [`GuestError::looks_on`].
pub(super) type Visit<'a, T> = &'a (dyn Fn(Box<dyn Connection>) -> BoxFuture<'a, Result<T, GuestError>> + Send + Sync);

impl Guest {
    /// Connects to who looks right, one after the other, until one does what is wanted.
    pub(super) async fn visit<T>(
        &self,
        is_one: &(dyn Fn(&Sighting) -> bool + Send + Sync),
        visit: Visit<'_, T>,
        radio: &dyn Radio,
        clock: &dyn Clock,
        tell: Tell<'_>,
    ) -> Result<T, GuestError> {
        let until = clock.now().mono.plus(self.config.search);
        let (mut tried, mut last) = (Vec::new(), None);
        tell(Progress::Looking);
        while tried.len() < MOST_TRIES {
            let wanted = |sighting: &Sighting| is_one(sighting) && times(&tried, sighting.address) < TRIES;
            let sighting = match self.hear(&wanted, until, radio, clock).await {
                Ok(sighting) => sighting,
                Err(error) => return Err(last.unwrap_or(error)),
            };
            tell(Progress::Found { address: sighting.address, name: sighting.name.as_deref().map(Into::into) });
            let done = match radio.connect(sighting.address).await {
                Ok(connection) => visit(connection).await,
                Err(error) => Err(error.into()),
            };
            let error = match done {
                Err(error) if error.looks_on() => error,
                done => return done,
            };
            // Who is somebody else stays that.
            let counted = if matches!(error, GuestError::Radio(_) | GuestError::NoAnswer) { 1 } else { TRIES };
            tried.extend(std::iter::repeat_n(sighting.address, counted));
            tell(Progress::Passed(error.clone()));
            last = Some(error);
        }
        Err(last.unwrap_or(GuestError::NotFound))
    }

    /// The next that looks right. It does not listen on while somebody connects: not every adapter can do both.
    async fn hear(
        &self,
        wanted: &(dyn Fn(&Sighting) -> bool + Send + Sync),
        until: Mono,
        radio: &dyn Radio,
        clock: &dyn Clock,
    ) -> Result<Sighting, GuestError> {
        let mut standing = radio.state();
        let heard = async {
            loop {
                standing.up().await?;
                let mut sightings = match radio.scan(Scan::default()).await {
                    Err(RadioError::Gone(_)) => continue,
                    scan => scan?,
                };
                while let Some(sighting) = sightings.next().await {
                    if wanted(&sighting) {
                        return Ok(sighting);
                    }
                }
            }
        };
        let heard = tokio::select! {
            heard = heard => Some(heard),
            () = clock.sleep(until.since(clock.now().mono)) => None,
        };
        heard.unwrap_or_else(|| Err(radio.state().now().trouble.map_or(GuestError::NotFound, GuestError::Radio)))
    }
}

fn times(tried: &[Address], address: Address) -> usize {
    tried.iter().filter(|tried| **tried == address).count()
}

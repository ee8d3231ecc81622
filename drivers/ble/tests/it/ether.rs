//! Radios in the memory of one test: whoever advertises is heard by all, and time is tokio's, paused.

use doorward_ble::{
    clock::Clock,
    radio::{
        Address, Advertisement, Advertising, AttError, Connection, Hearer, Incoming, MOST_REQUESTS, Manufacturer, Notifications, Peer,
        PeerId, Radio, RadioError, Reply, Scan, Server, Service, Sighting, Sightings, Standing, StateWatch, sightings,
    },
};
use doorward_core::{Mono, Now, driver::BoxFuture};
use doorward_wire::Time;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use uuid::Uuid;

/// A clock that is ahead of tokio's by so many seconds, and dice that repeat.
pub(crate) struct TestClock {
    start: Instant,
    ahead: i64,
    thrown: AtomicU64,
}

impl TestClock {
    pub(crate) fn new(ahead: i64) -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), ahead, thrown: AtomicU64::new(1) })
    }

    pub(crate) fn seconds(&self) -> u64 {
        u64::try_from(self.now().utc.as_micros()).unwrap() / 1_000_000
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let mono = self.start.elapsed();
        let start = crate::bench::START.cast_signed() + self.ahead;
        Now { utc: Time::from_seconds(start).plus(mono), mono: Mono(mono) }
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(span))
    }

    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let thrown = self.thrown.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            *byte = thrown.wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes()[3];
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Ether(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    stations: BTreeMap<Address, Station>,
    next: u64,
    /// Everything that was ever advertised, and when.
    shown: Vec<(Instant, Address, Advertisement)>,
}

struct Station {
    state: watch::Sender<Standing>,
    advertised: BTreeMap<u64, Advertisement>,
    served: Option<Served>,
    tells_one: bool,
}

struct Served {
    services: Vec<Service>,
    queue: mpsc::Sender<Incoming>,
    told: HashMap<(PeerId, Uuid), mpsc::Sender<Vec<u8>>>,
}

impl Ether {
    pub(crate) fn radio(&self, number: u8) -> Arc<Antenna> {
        let address = Address([0xC0, 0, 0, 0, 0, number]);
        let state = watch::Sender::new(Standing { generation: 1, trouble: None });
        let station = Station { state, advertised: BTreeMap::new(), served: None, tells_one: true };
        self.inner().stations.insert(address, station);
        Arc::new(Antenna { ether: self.clone(), address, mtu: 247 })
    }

    /// What one advertised, and when.
    pub(crate) fn shown_by(&self, radio: &Antenna) -> Vec<(Instant, Advertisement)> {
        let inner = self.inner();
        inner.shown.iter().filter(|(_, address, _)| *address == radio.address).map(|(at, _, shown)| (*at, shown.clone())).collect()
    }

    pub(crate) fn tells_all(&self, radio: &Antenna) {
        self.inner().stations.get_mut(&radio.address).unwrap().tells_one = false;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

/// One adapter.
pub(crate) struct Antenna {
    ether: Ether,
    pub(crate) address: Address,
    mtu: u16,
}

impl Antenna {
    /// The adapter goes away, and everything on it.
    pub(crate) fn unplug(&self) {
        let mut inner = self.ether.inner();
        let station = inner.stations.get_mut(&self.address).unwrap();
        station.state.send_modify(|standing| standing.trouble = Some(RadioError::Gone("unplugged".into())));
        station.advertised.clear();
        station.served = None;
    }

    pub(crate) fn plug(&self) {
        let mut inner = self.ether.inner();
        let station = inner.stations.get_mut(&self.address).unwrap();
        station.state.send_modify(|standing| *standing = Standing { generation: standing.generation + 1, trouble: None });
    }

    pub(crate) fn is_advertising(&self) -> bool {
        !self.ether.inner().stations[&self.address].advertised.is_empty()
    }

    fn check(&self) -> Result<(), RadioError> {
        self.ether.inner().stations[&self.address].state.borrow().trouble.clone().map_or(Ok(()), Err)
    }
}

impl Radio for Antenna {
    fn state(&self) -> StateWatch {
        StateWatch::new(self.ether.inner().stations[&self.address].state.subscribe())
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Sightings, RadioError>> {
        Box::pin(async move {
            self.check()?;
            let (hearer, sightings) = sightings(scan);
            let (ether, own, mut standing) = (self.ether.clone(), self.address, self.state());
            tokio::spawn(async move {
                let generation = standing.now().generation;
                tokio::select! {
                    () = listen(ether, own, &hearer) => {}
                    () = hearer.unheard() => {}
                    () = standing.over(generation) => {}
                }
            });
            Ok(sightings)
        })
    }

    fn advertise(&self, advertisement: Advertisement) -> BoxFuture<'_, Result<Box<dyn Advertising>, RadioError>> {
        Box::pin(async move {
            let mut advertising = Shown { ether: self.ether.clone(), address: self.address, number: 0 };
            self.check()?;
            advertising.replace(advertisement).await?;
            Ok(Box::new(advertising) as Box<dyn Advertising>)
        })
    }

    fn serve(&self, services: Vec<Service>) -> BoxFuture<'_, Result<Box<dyn Server>, RadioError>> {
        Box::pin(async move {
            self.check()?;
            let (queue, requests) = mpsc::channel(MOST_REQUESTS);
            let mut inner = self.ether.inner();
            let station = inner.stations.get_mut(&self.address).unwrap();
            station.served = Some(Served { services, queue, told: HashMap::new() });
            let (ether, requests) = (self.ether.clone(), tokio::sync::Mutex::new(requests));
            Ok(Box::new(Serving { ether, address: self.address, tells_one: station.tells_one, requests }) as Box<dyn Server>)
        })
    }

    fn connect(&self, address: Address) -> BoxFuture<'_, Result<Box<dyn Connection>, RadioError>> {
        Box::pin(async move {
            self.check()?;
            let mut inner = self.ether.inner();
            inner.next += 1;
            let peer = Peer { id: PeerId(inner.next), address: self.address, mtu: self.mtu };
            let served = inner.stations.get(&address).and_then(|station| station.served.as_ref());
            let served = served.ok_or_else(|| RadioError::NotFound("nobody serves there".into()))?;
            let services = served.services.clone();
            Ok(Box::new(Link { ether: self.ether.clone(), other: address, peer, services }) as Box<dyn Connection>)
        })
    }
}

async fn listen(ether: Ether, own: Address, hearer: &Hearer) {
    loop {
        for sighting in ether.on_air(own) {
            let _ = hearer.hear(sighting);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Ether {
    fn on_air(&self, listener: Address) -> Vec<Sighting> {
        let inner = self.inner();
        let others = inner.stations.iter().filter(|(address, _)| **address != listener);
        let all = others.flat_map(|(address, station)| station.advertised.values().map(|shown| (*address, shown)));
        all.map(|(address, shown)| {
            let data = [&shown.data, &shown.response];
            let manufacturer = data.iter().find_map(|fields| fields.manufacturer.as_ref());
            Sighting {
                address,
                rssi: Some(-50),
                manufacturer: manufacturer.and_then(|(company, bytes)| Manufacturer::new(*company, bytes)),
                name: data.iter().find_map(|fields| fields.name.as_deref()).map(Into::into),
                services: data.iter().flat_map(|fields| fields.services.clone()).collect(),
                at: Mono::default(),
            }
        })
        .collect()
    }
}

struct Shown {
    ether: Ether,
    address: Address,
    number: u64,
}

impl Advertising for Shown {
    fn replace(&mut self, advertisement: Advertisement) -> BoxFuture<'_, Result<(), RadioError>> {
        Box::pin(async move {
            advertisement.check()?;
            let mut inner = self.ether.inner();
            inner.next += 1;
            let (old, now) = (std::mem::replace(&mut self.number, inner.next), Instant::now());
            inner.shown.push((now, self.address, advertisement.clone()));
            let station = inner.stations.get_mut(&self.address).unwrap();
            if old != 0 && station.advertised.remove(&old).is_none() {
                return Err(RadioError::Gone("unplugged".into()));
            }
            station.advertised.insert(self.number, advertisement);
            Ok(())
        })
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.ether.inner().stations.get_mut(&self.address).unwrap().advertised.remove(&self.number);
    }
}

struct Serving {
    ether: Ether,
    address: Address,
    tells_one: bool,
    requests: tokio::sync::Mutex<mpsc::Receiver<Incoming>>,
}

impl Server for Serving {
    fn next(&self) -> BoxFuture<'_, Option<Incoming>> {
        Box::pin(async move { self.requests.lock().await.recv().await })
    }

    fn notify<'a>(&'a self, peer: PeerId, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>> {
        Box::pin(async move {
            let inner = self.ether.inner();
            let served = inner.stations[&self.address].served.as_ref().ok_or_else(|| RadioError::Gone("unplugged".into()))?;
            if value.len() > 244 {
                return Err(RadioError::TooLong { what: "the notification", have: value.len(), most: 244 });
            }
            let told = served.told.iter().filter(|((id, uuid), _)| *uuid == characteristic && (*id == peer || !self.tells_one));
            told.for_each(|(_, queue)| drop(queue.try_send(value.into())));
            Ok(())
        })
    }

    fn tells_one(&self) -> bool {
        self.tells_one
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.ether.inner().stations.get_mut(&self.address).unwrap().served = None;
    }
}

struct Link {
    ether: Ether,
    other: Address,
    peer: Peer,
    services: Vec<Service>,
}

impl Link {
    async fn ask<T>(&self, incoming: Incoming, answer: tokio::sync::oneshot::Receiver<Result<T, AttError>>) -> Result<T, RadioError> {
        let queue = self.ether.inner().stations[&self.other].served.as_ref().map(|served| served.queue.clone());
        let gone = || RadioError::Disconnected("the server is gone".into());
        queue.ok_or_else(gone)?.send(incoming).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(|error| RadioError::Refused(error.to_string()))
    }

    fn end(&self) {
        let mut inner = self.ether.inner();
        let Some(served) = inner.stations.get_mut(&self.other).and_then(|station| station.served.as_mut()) else { return };
        served.told.retain(|(peer, _), _| *peer != self.peer.id);
        let _ = served.queue.try_send(Incoming::Gone(self.peer.id));
    }
}

impl Connection for Link {
    fn address(&self) -> Address {
        self.other
    }

    fn mtu(&self) -> u16 {
        self.peer.mtu
    }

    fn services(&self) -> &[Service] {
        &self.services
    }

    fn read(&self, characteristic: Uuid) -> BoxFuture<'_, Result<Vec<u8>, RadioError>> {
        let (reply, answer) = Reply::new();
        Box::pin(self.ask(Incoming::Read { peer: self.peer, characteristic, reply }, answer))
    }

    fn write<'a>(&'a self, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>> {
        let (reply, answer) = Reply::new();
        Box::pin(self.ask(Incoming::Write { peer: self.peer, characteristic, value: value.into(), reply }, answer))
    }

    fn write_without_response<'a>(&'a self, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>> {
        self.write(characteristic, value)
    }

    fn subscribe(&self, characteristic: Uuid) -> BoxFuture<'_, Result<Notifications, RadioError>> {
        Box::pin(async move {
            let (queue, told) = mpsc::channel(MOST_REQUESTS);
            let mut inner = self.ether.inner();
            let served = inner.stations.get_mut(&self.other).and_then(|station| station.served.as_mut());
            let served = served.ok_or_else(|| RadioError::Disconnected("the server is gone".into()))?;
            served.told.insert((self.peer.id, characteristic), queue);
            Ok(Notifications::new(told))
        })
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn disconnect(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.end() })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}

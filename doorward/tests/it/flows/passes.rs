//! Passes at locks that keep codes: set, extended, taken away, through a cloud with faults.

use crate::house::{TestHouse, actor};
use doorward_core::record::NewEvent;
use doorward_sim::utec::{Fault, Faults, On};
use doorward_store::{NewPass, PassDoor, StoredPass};
use doorward_web::{Web, WebConfig, logbook::Logbook, people};
use doorward_wire::{
    event::EventKind,
    grant::{Means, PassDoorState, Terms},
};
use std::time::Duration;

const FRONT: &str = "7C:DF:A1:68:3E:6A";

impl TestHouse {
    /// Lets passes become codes until what is given back is aborted, or the test ends.
    async fn compiles(&self) -> tokio::task::JoinHandle<()> {
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        let tunnel = doorward_tunnel::Tunnel::new(doorward_tunnel::Options::default(), self.handle.clone(), None).await.unwrap();
        let fleet = doorward_fleet::Fleet::new(doorward_fleet::Options::default(), self.handle.clone(), None);
        let web = Web::new(self.handle.clone(), WebConfig::default(), Logbook::default(), metrics, None, tunnel, fleet);
        tokio::spawn(people::compile::run(web, std::future::pending()))
    }

    fn terms(&self, hours: u64) -> Terms {
        Terms { until: Some(self.handle.now().utc.plus(Duration::from_hours(hours))), ..Terms::default() }
    }

    async fn pass(&self, terms: Terms) -> StoredPass {
        let doors = vec!["front_door".parse().unwrap()];
        let new = NewPass { name: "Grace", pin: None, doors, terms, made_by: &actor(), within: None };
        let event = NewEvent::new(self.handle.now().utc, EventKind::PassCreated).actor(&actor());
        let (pass, _, event) = self.handle.store().add_pass(new, &event).await.unwrap();
        self.handle.tell(vec![event]);
        pass
    }

    async fn code(&self, pass: &StoredPass) -> Option<PassDoor> {
        let rows = self.handle.store().pass_doors(Some(&pass.id)).await.unwrap();
        rows.into_iter().find(|row| row.means == Means::Pin)
    }

    /// Lets time pass until the code of a pass stands so.
    async fn until_code(&self, pass: &StoredPass, so: impl Fn(Option<&PassDoor>) -> bool) -> Option<PassDoor> {
        for _ in 0..120 {
            let code = self.code(pass).await;
            if so(code.as_ref()) {
                return code;
            }
            self.advance(Duration::from_secs(5));
            self.settle().await;
        }
        panic!("it never stood so: {:?}", self.code(pass).await);
    }
}

fn is_set(row: Option<&PassDoor>) -> bool {
    row.is_some_and(|row| row.state == PassDoorState::Set)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_a_code_at_the_lock_until_it_is_taken_back() {
    let house = TestHouse::start().await;
    let before = house.sim.lock(FRONT).users;
    let compiles = house.compiles().await;
    let pass = house.pass(house.terms(4)).await;
    let set = house.until_code(&pass, is_set).await.unwrap();
    assert_eq!(set.pin.as_ref().unwrap().reveal().len(), 6);
    assert_eq!(house.sim.lock(FRONT).users, before + 1);

    let longer = house.terms(48);
    let event = NewEvent::new(house.handle.now().utc, EventKind::PassChanged).actor(&actor());
    let grant = &pass.grant;
    let changed = house.handle.store().change_grant(&grant.id, &grant.doors, grant.actions, &longer, &event).await.unwrap().unwrap();
    house.handle.tell(vec![changed]);
    let extended = house.until_code(&pass, |row| is_set(row) && row.is_some_and(|row| row.wish != set.wish)).await.unwrap();
    assert_eq!((extended.external, extended.pin), (set.external, set.pin), "the guest's code stays");
    assert_eq!(house.sim.lock(FRONT).users, before + 1);

    let event = NewEvent::new(house.handle.now().utc, EventKind::PassRevoked).actor(&actor());
    let revoked = house.handle.store().revoke_grant(&grant.id, &event).await.unwrap().unwrap();
    house.handle.tell(vec![revoked]);
    house.until_code(&pass, |row| row.is_none()).await;
    assert_eq!(house.sim.lock(FRONT).users, before, "nothing of it is left at the lock");
    let told = house.kinds().await.iter().filter(|kind| *kind == "pass.set").count();
    assert_eq!(told, 3, "set, set for longer, removed");
    compiles.abort();
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_whose_answer_was_lost_is_not_made_twice() {
    let house = TestHouse::start().await;
    let before = house.sim.lock(FRONT).users;
    house.sim.set_faults(Faults { half_answer: Some(Fault::default().on(On::AddUser)), ..Faults::default() });
    let compiles = house.compiles().await;
    let pass = house.pass(house.terms(4)).await;
    house.until_code(&pass, |row| row.is_some_and(|row| row.tries > 0)).await;
    house.sim.set_faults(Faults::default());
    house.until_code(&pass, is_set).await;
    assert_eq!(house.sim.lock(FRONT).users, before + 1);
    compiles.abort();
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_ends_at_the_lock_with_the_pass_although_nobody_takes_it_back() {
    let house = TestHouse::start().await;
    let before = house.sim.lock(FRONT).users;
    let compiles = house.compiles().await;
    let pass = house.pass(house.terms(1)).await;
    house.until_code(&pass, is_set).await;
    house.advance(Duration::from_hours(1));
    house.until_code(&pass, |row| row.is_none()).await;
    assert_eq!(house.sim.lock(FRONT).users, before);
    compiles.abort();
    house.stop().await;
}

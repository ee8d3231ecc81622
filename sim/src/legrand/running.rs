//! The handle of a running cloud: looking at it, and meddling.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::book::Tokens;
use super::faults::Faults;
use super::journal::Counters;
use super::openers::{Opener, OpenerView};
use super::sip::calls::{self, RingState, RingView};
use super::sip::exchange::BindingView;
use super::spec::{Behaviour, Person};
use super::world::World;
use super::{csr, enrol, login, token};

/// A running cloud. Dropping it stops it.
///
/// Methods that take the id of an opener or a panel panic when there is none of that name.
pub struct Sim {
    world: Arc<World>,
    addr: SocketAddr,
    sip_addr: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

/// What somebody holds who has been through the whole registration.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The client's id.
    pub client_id: String,
    /// The SIP user.
    pub user: String,
    /// The SIP domain.
    pub domain: String,
    /// The SIP password.
    pub password: String,
    /// The client's certificate, DER.
    pub certificate: Vec<u8>,
    /// Its key, PKCS#8 DER.
    pub key: Vec<u8>,
}

impl Sim {
    pub(super) fn new(world: Arc<World>, addr: SocketAddr, sip_addr: SocketAddr, tasks: Vec<JoinHandle<()>>) -> Self {
        Self { world, addr, sip_addr, tasks }
    }

    /// `http://127.0.0.1:<port>`: the directory's host and the API base at once.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where pages and API listen.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the registrar listens.
    pub fn sip_addr(&self) -> SocketAddr {
        self.sip_addr
    }

    /// The certificate that the registrar's chains to (DER), as `CACerts` returns it.
    pub fn server_ca(&self) -> Vec<u8> {
        self.world.server_authority.certificate.to_vec()
    }

    /// The certificate that those of clients chain to (DER).
    pub fn client_ca(&self) -> Vec<u8> {
        self.world.client_authority.certificate.to_vec()
    }

    /// Replaces all faults. `Faults::default()` switches everything off.
    pub fn set_faults(&self, faults: Faults) {
        self.world.change(|state, _| state.faults = faults);
    }

    /// The faults as they stand; limited ones have been counted down.
    pub fn faults(&self) -> Faults {
        self.world.faults()
    }

    /// What has been counted since the start.
    pub fn counters(&self) -> Counters {
        self.world.look(|state, _| state.counters)
    }

    /// How an opener stands now.
    pub fn opener(&self, id: &str) -> OpenerView {
        let view = self.world.look(|state, _| state.opener(id).map(Opener::view));
        view.unwrap_or_else(|| unknown(id))
    }

    /// All openers, in the order of the configuration.
    pub fn openers(&self) -> Vec<OpenerView> {
        self.world.look(|state, _| state.openers.iter().map(Opener::view).collect())
    }

    /// What the contacts say, by the id of the opener: `true` as soon as it is not shut. Changes when they do.
    pub fn contacts(&self) -> watch::Receiver<BTreeMap<String, bool>> {
        self.world.contacts.subscribe()
    }

    /// Moves an opener by hand, at once.
    pub fn hand(&self, id: &str, open: bool) {
        self.tamper(id, |opener| opener.hand(open));
    }

    /// Makes an opener behave otherwise from now on, until the next start.
    pub fn set_behaviour(&self, id: &str, behaviour: Behaviour) {
        self.tamper(id, |opener| opener.spec.behaviour = behaviour);
    }

    /// Deletes an opener at the vendor, or brings it back.
    pub fn delete_opener(&self, id: &str, deleted: bool) {
        self.tamper(id, |opener| opener.works.deleted = deleted);
    }

    /// Deletes a plant at the vendor with all that is in it, or brings it back.
    pub fn delete_plant(&self, id: &str, deleted: bool) {
        if !self.world.edit(|state, _| state.delete_plant(id, deleted)) {
            unknown::<()>(id);
        }
    }

    /// Presses the button of a panel; gives the Call-IDs of what rings now.
    pub fn ring(&self, panel: &str) -> Vec<String> {
        calls::ring(&self.world, panel).unwrap_or_else(|| unknown(panel))
    }

    /// Everything that rang since the start.
    pub fn rings(&self) -> Vec<RingView> {
        self.world.look(|state, _| state.exchange.rings())
    }

    /// One ring. Panics when there is none of that id.
    pub fn ring_view(&self, id: &str) -> RingView {
        self.rings().into_iter().find(|ring| ring.id == id).unwrap_or_else(|| unknown(id))
    }

    /// Whoever rang goes away. False when it rings no more.
    pub fn cancel(&self, ring: &str) -> bool {
        self.end(ring, RingState::Cancelled)
    }

    /// Another phone takes the call. False when it rings no more.
    pub fn answer_elsewhere(&self, ring: &str) -> bool {
        self.end(ring, RingState::AnsweredElsewhere)
    }

    /// Ends a call that was answered, by BYE. False when it was not.
    pub fn hang_up(&self, ring: &str) -> bool {
        calls::hang_up(&self.world, ring)
    }

    /// Who is registered now.
    pub fn registered(&self) -> Vec<BindingView> {
        self.world.look(|state, _| state.exchange.registered())
    }

    /// Sends a request to everybody who is connected, outside of any call: OPTIONS, BYE, MESSAGE, a method that nobody
    /// knows. Gives the Call-IDs.
    pub fn send(&self, method: &str, body: Option<&str>) -> Vec<String> {
        calls::tell_all(&self.world, method, body)
    }

    /// What was answered to a request of [`Sim::send`].
    pub fn answers(&self, call_id: &str) -> Vec<u16> {
        self.world.look(|state, _| {
            let asked = state.exchange.asked.iter().find(|asked| asked.call_id == call_id);
            asked.map(|asked| asked.statuses.clone()).unwrap_or_default()
        })
    }

    /// Writes any bytes to everybody who is connected.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.world.look(|state, _| {
            for line in state.exchange.lines() {
                state.exchange.write(line, bytes.to_vec());
            }
        });
    }

    /// How many connections the registrar has.
    pub fn connections(&self) -> usize {
        self.world.look(|state, _| state.exchange.lines().len())
    }

    /// Closes every connection of the registrar, as a restart of it does.
    pub fn close_connections(&self) {
        self.world.look(|state, _| state.exchange.close_all());
    }

    /// Lets nothing pass any more over the connections that there are, without closing them: a NAT has forgotten
    /// them, or a cable was cut.
    pub fn freeze_connections(&self) {
        self.world.look(|state, _| state.exchange.freeze_all());
    }

    /// Makes every nonce stale.
    pub fn forget_nonces(&self) {
        self.world.look(|state, _| state.exchange.nonces.forget());
    }

    /// Kills all refresh tokens; the next refresh is answered with `invalid_grant`.
    pub fn revoke(&self) {
        self.world.edit(|state, _| state.book.revoke());
    }

    /// Kills all access tokens; the next call is answered with 401.
    pub fn expire_access_tokens(&self) {
        self.world.edit(|state, _| state.book.expire());
    }

    /// Signs the first person in without a browser.
    pub fn grant(&self) -> Tokens {
        self.grant_to(&self.first().oid)
    }

    /// Signs the person with this object id in without a browser. Panics when there is none.
    pub fn grant_to(&self, oid: &str) -> Tokens {
        let tokens = self.world.edit(|state, now| token::grant(&self.world, state, oid, None, now));
        tokens.unwrap_or_else(|| unknown(oid))
    }

    /// Does what the first person does who is sent to this address of `authorize` and signs in. Gives the address that
    /// the browser is then sent to, or what was wrong with the first one.
    pub fn allow(&self, authorize_url: &str) -> Result<String, String> {
        let Person { email, password, .. } = self.first();
        self.allow_as(authorize_url, email, password)
    }

    /// As [`Sim::allow`], for whoever has this e-mail address and password.
    pub fn allow_as(&self, authorize_url: &str, email: &str, password: &str) -> Result<String, String> {
        login::allow(&self.world, authorize_url, email, password)
    }

    /// Goes through the whole registration of a client at a gateway, for its owner, without a single request.
    pub fn enrol(&self, gateway: &str) -> Enrolment {
        self.enrolled(gateway).unwrap_or_else(|| unknown(gateway))
    }

    fn enrolled(&self, gateway: &str) -> Option<Enrolment> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).ok()?;
        let account = self.world.edit(|state, _| {
            let client_id = format!("1{}", state.dice.text(b"0123456789", 20));
            let owner = state.gateway(gateway)?.0.owner.clone();
            enrol::open_account(&self.world, state, gateway, &owner, &client_id, "enrolled")
        })?;
        let request = csr::Request {
            client_id: account.client_id.clone(),
            email: account.email.clone(),
            uri: format!("sip:{}", account.uri),
            public_key: key.der_bytes().to_vec(),
        };
        let certificate = enrol::sign(&self.world, gateway, &request).ok()?;
        Some(Enrolment {
            user: account.user().to_owned(),
            client_id: account.client_id,
            domain: self.world.domain(gateway),
            password: account.password,
            certificate,
            key: key.serialize_der(),
        })
    }

    /// Everything that `GET /sim/state` shows.
    pub fn state(&self) -> Value {
        super::control::shown(&self.world)
    }

    /// Stops it: all connections are closed and the ports are free when this returns.
    pub async fn stop(mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        self.world.stop();
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // It was aborted, which is what is wanted.
            let _ = task.await;
        }
    }

    fn first(&self) -> &Person {
        self.world.config.people.first().unwrap_or_else(|| unknown("at all"))
    }

    fn end(&self, ring: &str, how: RingState) -> bool {
        calls::end(&self.world, ring, how)
    }

    fn tamper(&self, id: &str, change: impl FnOnce(&mut Opener)) {
        if self.world.edit(|state, _| state.tamper(id, change)).is_none() {
            unknown::<()>(id);
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.world.stop();
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn unknown<T>(id: &str) -> T {
    panic!("the simulator has nothing of the name {id}")
}

//! What a client registers: its SIP account, where it is woken, its certificate.

use std::time::Duration;

use aws_lc_rs::digest;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::api::{Asked, Outcome, Refusal};
use super::catalog::listed;
use super::csr;
use super::hex;
use super::oddities::CaShape;
use super::registry::{Account, Issued, Subscription};
use super::spec::PlantSpec;
use super::world::{State, World};

const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// `GET …/sipaccounts`
pub(crate) fn accounts(asked: &Asked<'_>) -> Outcome {
    asked.world.look(|state, _| {
        mine(state, asked)?;
        let accounts = state.registry.accounts.iter().filter(|account| account.gateway == asked.id);
        Ok((StatusCode::OK, listed("sipAccounts", accounts.map(account_written).collect(), &state.faults)))
    })
}

/// `POST …/sipaccount`: one for each client, however often it asks.
pub(crate) fn account(asked: &Asked<'_>) -> Outcome {
    let text = |name: &str| required(&asked.body, name);
    let (client_id, client_name, uri) = (text("clientId")?, text("clientName")?, text("sipUri")?);
    asked.world.edit(|state, _| {
        mine(state, asked)?;
        if let Some(known) = state.registry.account(asked.id, client_id) {
            return Ok((StatusCode::OK, account_written(known)));
        }
        check_client_id(client_id)?;
        let wanted = format!("{}_{client_id}@{}", asked.oid, asked.world.domain(asked.id));
        if uri.strip_prefix("sip:").unwrap_or(uri) != wanted {
            return Err(Refusal::malformed(format!("sipUri must be {wanted}")));
        }
        let taken = state.registry.accounts.iter().filter(|account| account.gateway == asked.id).count();
        if taken >= asked.world.config.accounts_max {
            return Err(Refusal::malformed("too many SIP accounts"));
        }
        let made = open_account(asked.world, state, asked.id, asked.oid, client_id, client_name);
        let made = made.ok_or_else(|| Refusal::gone("gateway"))?;
        Ok((StatusCode::CREATED, account_written(&made)))
    })
}

/// Opens an account without looking at anything.
pub(crate) fn open_account(world: &World, state: &mut State, gateway: &str, oid: &str, client_id: &str, name: &str) -> Option<Account> {
    let plant = state.gateway(gateway)?.0.id.clone();
    let made = Account {
        sip_id: state.dice.uuid().to_string(),
        gateway: gateway.to_owned(),
        plant,
        client_id: client_id.to_owned(),
        client_name: name.to_owned(),
        uri: format!("{oid}_{client_id}@{}", world.domain(gateway)),
        email: world.person(oid)?.email.clone(),
        oid: oid.to_owned(),
        password: state.dice.text(LETTERS, 8),
    };
    state.counters.accounts_made += 1;
    state.registry.accounts.push(made.clone());
    Some(made)
}

fn account_written(account: &Account) -> Value {
    json!({
        "sipId": account.sip_id,
        "sipUri": account.uri,
        "clientId": account.client_id,
        "clientName": account.client_name,
        "username": account.email,
        "userOid": account.oid,
        "sipPassword": account.password,
        "deviceId": account.gateway,
        "plantId": account.plant,
        "appId": null,
    })
}

/// `GET …/subscription`
pub(crate) fn subscriptions(asked: &Asked<'_>) -> Outcome {
    asked.world.look(|state, _| {
        mine(state, asked)?;
        let subscriptions = state.registry.subscriptions.iter().filter(|one| one.gateway == asked.id);
        Ok((StatusCode::OK, Value::Array(subscriptions.map(subscription_written).collect())))
    })
}

/// `POST …/subscription`: one for each device.
pub(crate) fn subscribe(asked: &Asked<'_>) -> Outcome {
    let text = |name: &str| required(&asked.body, name).map(str::to_owned);
    let (device, handle) = (text("deviceUniqueId")?, text("handle")?);
    let (platform, language) = (text("platform")?, text("language")?);
    asked.world.edit(|state, _| {
        mine(state, asked)?;
        let id = state.dice.uuid().to_string();
        let all = &mut state.registry.subscriptions;
        all.retain(|one| one.gateway != asked.id || one.device != device);
        let made = Subscription { id, gateway: asked.id.to_owned(), device, handle, platform, language };
        let written = subscription_written(&made);
        all.push(made);
        Ok((StatusCode::CREATED, written))
    })
}

fn subscription_written(one: &Subscription) -> Value {
    json!({
        "notificationId": one.id,
        "deviceUniqueId": one.device,
        "handle": one.handle,
        "platform": one.platform,
        "language": one.language,
    })
}

/// `GET …/CACerts`
#[expect(clippy::unnecessary_wraps, reason = "as every call")]
pub(crate) fn ca_certificates(asked: &Asked<'_>) -> Outcome {
    let faults = asked.world.faults();
    let authority = if faults.new_authority { &asked.world.next_authority } else { &asked.world.server_authority };
    let der = BASE64_STANDARD.encode(&authority.certificate);
    let body = match faults.ca_shape {
        CaShape::ChainOfDer => json!({ "chain": [der] }),
        CaShape::ChainOfPem => json!({ "chain": pem("CERTIFICATE", &authority.certificate) }),
        CaShape::OneDer => json!({ "cert": der }),
    };
    Ok((StatusCode::OK, body))
}

/// Base64 between two lines (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in BASE64_STANDARD.encode(der).as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// `POST …/clientCerts`
pub(crate) fn client_certificate(asked: &Asked<'_>) -> Outcome {
    let issued = issue(asked);
    if issued.is_err() {
        asked.world.count(|counters| counters.certificates_refused += 1);
    }
    issued
}

fn issue(asked: &Asked<'_>) -> Outcome {
    let body = &asked.body;
    if required(body, "template")? != "sipuser-DIY" {
        return Err(Refusal::malformed("template is another one than sipuser-DIY"));
    }
    let request = required(body, "csr")?;
    let request = BASE64_STANDARD.decode(request).map_err(|error| Refusal::malformed(format!("csr is no base64: {error}")))?;
    let request = csr::read(&request).map_err(|reason| Refusal::malformed(format!("csr: {reason}")))?;
    let plant = asked.world.look(|state, _| sender(asked.world, state, asked.oid, &body["sender"]))?;
    let gateway = asked.world.look(|state, _| named(asked.world, state, &plant, &request))?;
    let cert = sign(asked.world, &gateway, &request).map_err(|error| Refusal::malformed(format!("csr: {error}")))?;
    let receiver = json!({ "addressType": "addressLocation", "plant": body["sender"]["plant"], "system": "information" });
    Ok((StatusCode::CREATED, json!({ "receiver": receiver, "cert": BASE64_STANDARD.encode(&cert) })))
}

/// Signs a request and remembers that it did.
pub(crate) fn sign(world: &World, gateway: &str, request: &csr::Request) -> Result<Vec<u8>, rcgen::Error> {
    world.edit(|state, now| {
        let serial = 1000 + state.registry.certificates.len() as u64;
        let lives = world.config.certificate_lives;
        let cert = world.client_authority.sign(request, serial, now, lives)?;
        let until = now.saturating_add(u64::try_from(lives.as_millis()).unwrap_or(u64::MAX));
        let (fingerprint, client_id) = (fingerprint(&cert), request.client_id.clone());
        state.registry.certificates.push(Issued { fingerprint, client_id, gateway: gateway.to_owned(), until });
        state.counters.certificates_issued += 1;
        Ok(cert)
    })
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, der).as_ref())
}

/// The plant that asks, with every field as the catalogue has it.
fn sender(world: &World, state: &State, oid: &str, sender: &Value) -> Result<PlantSpec, Refusal> {
    let malformed = |what: &str| Refusal::malformed(format!("sender: {what}"));
    if sender["addressType"] != "addressLocation" || sender["system"] != "information" {
        return Err(malformed("addressType or system"));
    }
    let told = sender["plant"].as_object().ok_or_else(|| malformed("plant"))?;
    let plant = state.plants().find(|plant| Some(plant.id.as_str()) == told.get("id").and_then(Value::as_str) && plant.owner == oid);
    let plant = plant.ok_or_else(|| malformed("plant.id"))?;
    let expected = json!({
        "_gatewayDbIdx": -1,
        // A plant without one is Italian to the vendor's apps.
        "country": plant.country.as_deref().unwrap_or("it"),
        "dbIdx": -1,
        "id": plant.id,
        "name": plant.name,
        "ownerEmail": world.person(&plant.owner).map(|owner| &owner.email),
        "ownerId": plant.owner,
        "type": plant.kind,
    });
    for (name, value) in expected.as_object().into_iter().flatten() {
        if told.get(name) != Some(value) {
            return Err(malformed(&format!("plant.{name}")));
        }
    }
    if told.len() == 8 { Ok(plant.clone()) } else { Err(malformed("plant has a field that the apps do not send")) }
}

/// The gateway of the plant whose client the request names.
fn named(world: &World, state: &State, plant: &PlantSpec, request: &csr::Request) -> Result<String, Refusal> {
    check_client_id(&request.client_id)?;
    let owner = world.person(&plant.owner).map_or("", |owner| &owner.email);
    if request.email != owner {
        return Err(Refusal::malformed("csr: emailAddress is not the owner's"));
    }
    for gateway in &plant.gateways {
        let uri = format!("sip:{}_{}@{}", plant.owner, request.client_id, world.domain(&gateway.id));
        if request.uri == uri {
            let known = state.registry.account(&gateway.id, &request.client_id).is_some();
            return if known { Ok(gateway.id.clone()) } else { Err(Refusal::malformed("csr: CN is no client of that gateway")) };
        }
    }
    Err(Refusal::malformed(format!("csr: {} is no client of that plant", request.uri)))
}

/// 21 to 23 digits, the first one not 0.
fn check_client_id(client_id: &str) -> Result<(), Refusal> {
    let digits = client_id.bytes().all(|byte| byte.is_ascii_digit()) && !client_id.starts_with('0');
    if digits && (21..=23).contains(&client_id.len()) { Ok(()) } else { Err(Refusal::malformed("clientId is not 21 to 23 digits")) }
}

/// The person's own gateway.
fn mine(state: &State, asked: &Asked<'_>) -> Result<(), Refusal> {
    match state.gateway(asked.id) {
        Some((plant, _)) if plant.owner == asked.oid => Ok(()),
        Some(_) => Err(Refusal::new(StatusCode::FORBIDDEN, "the gateway is another person's")),
        None => Err(Refusal::gone("gateway")),
    }
}

fn required<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    let text = body[name].as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| Refusal::malformed(format!("{name} is missing or no text")))
}

/// A year and a day, as the vendor's certificates live.
pub(super) const CERTIFICATE_LIVES: Duration = Duration::from_hours(366 * 24);

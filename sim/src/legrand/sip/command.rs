//! MESSAGE: the one command there is, and what the gateway says to it afterwards.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answers::{Asked, Outcome, Refusal, Reply};
use super::proof;
use super::text::{Message, address, parameter, user_and_host};
use crate::legrand::oddities::JsonRpc;
use crate::legrand::passage::Mishap;
use crate::legrand::registry::Account;
use crate::legrand::world::{State, World};

/// What the gateway says afterwards by a MESSAGE of its own.
pub(crate) struct Echo {
    /// The address of whoever gave the command.
    to: String,
    gateway: String,
    body: Value,
    delay_ms: u64,
}

/// A command that was read.
struct Command {
    json_id: String,
    opener: String,
}

/// Who gives a command.
pub(crate) fn admit(asked: &Asked<'_>) -> Result<Account, Refusal> {
    let gateway = proof::gateway(asked.world, asked.uri)?;
    if user_and_host(asked.uri).is_none_or(|(user, _)| user != "diy") {
        return Err(Refusal::new(404, "nobody of that name"));
    }
    if !asked.world.faults().lenient {
        as_the_apps_write_it(asked).map_err(Refusal::malformed)?;
    }
    proof::prove(asked, gateway)
}

/// Does what it says.
pub(crate) fn obey(asked: &Asked<'_>, account: &Account) -> Outcome {
    let kind = asked.message.header("Content-Type").unwrap_or_default();
    if kind.split(';').next() != Some("text/plain") {
        return Err(Refusal::malformed("Content-Type is another one than text/plain"));
    }
    let command = read(&asked.message.body).map_err(|why| Refusal::malformed(format!("body: {why}")))?;
    asked.world.edit(|state, now| passed_on(asked, state, &account.gateway, &command, now))
}

fn passed_on(asked: &Asked<'_>, state: &mut State, gateway: &str, command: &Command, now: u64) -> Outcome {
    if !state.exchange.first_use(&command.json_id) {
        state.counters.repeated_json_ids += 1;
    }
    let moves = !matches!(asked.mishap, Some(Mishap::NoMovement)) && state.faults.json_rpc != JsonRpc::Error;
    let there = state.gateway(gateway).is_some();
    let known = there && if moves { state.command(gateway, &command.opener, now) } else { state.knows(gateway, &command.opener) };
    if !known {
        state.counters.commands_refused += 1;
        return Err(Refusal::new(404, "no such gate"));
    }
    state.counters.commands_accepted += 1;
    let id = if state.faults.json_rpc_number_id { number(&command.json_id) } else { json!(command.json_id) };
    let body = match state.faults.json_rpc {
        JsonRpc::Never => return Ok(Reply::plain()),
        JsonRpc::Ok => json!({ "id": id, "jsonrpc": "2.0", "result": true }),
        JsonRpc::Error => {
            json!({ "id": id, "jsonrpc": "2.0", "error": { "code": -32000, "message": "the actuator does not answer" } })
        }
    };
    let to = address(asked.message.header("From").unwrap_or_default()).to_owned();
    let echo = Echo { to, gateway: gateway.to_owned(), body, delay_ms: state.faults.json_rpc_delay_ms };
    Ok(Reply { after: Some(echo), ..Reply::plain() })
}

fn number(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| json!(id), |id| json!(id))
}

/// Lets the gateway answer, at once or later.
pub(crate) fn echo(world: &Arc<World>, line: u64, echo: Echo) {
    if echo.delay_ms == 0 {
        say(world, line, &echo);
        return;
    }
    let at = world.clock.now_ms().saturating_add(echo.delay_ms);
    let world_then = Arc::clone(world);
    world.spawn(async move {
        world_then.clock.sleep_until(at).await;
        say(&world_then, line, &echo);
    });
}

fn say(world: &World, line: u64, echo: &Echo) {
    let domain = world.domain(&echo.gateway);
    world.look(|state, _| tell(state, line, &domain, &echo.to, "MESSAGE", Some(&echo.body.to_string())));
}

/// Sends a request outside of any call, from the gateway; gives its Call-ID.
pub(crate) fn tell(state: &mut State, line: u64, domain: &str, to: &str, method: &str, body: Option<&str>) -> String {
    let tag = state.exchange.tag();
    let call_id = format!("{tag}@{domain}");
    let mut request = Message::request(method, to)
        .with("Via", format!("SIP/2.0/TLS vdesip.bs.iotleg.com:5228;branch=z9hG4bK{tag};rport"))
        .with("From", format!("<sip:diy@{domain}>;tag={tag}"))
        .with("To", format!("<{to}>"))
        .with("Call-ID", call_id.as_str())
        .with("CSeq", format!("1 {method}"))
        .with("Max-Forwards", "70");
    if let Some(body) = body {
        request = request.with_body("text/plain", body);
    }
    state.exchange.ask(call_id.clone());
    state.exchange.send(line, &request, &state.faults);
    call_id
}

/// The fields of a MESSAGE, as the vendor's apps write them.
fn as_the_apps_write_it(asked: &Asked<'_>) -> Result<(), String> {
    let message = asked.message;
    let field = |name: &str| message.header(name).ok_or_else(|| format!("{name} is missing"));
    if field("To")? != asked.uri {
        return Err(format!("To is {:?} instead of {:?}, without brackets", field("To")?, asked.uri));
    }
    let route = field("Route")?;
    let uri = route.strip_prefix('<').and_then(|route| route.strip_suffix('>')).unwrap_or_default();
    let host = uri.strip_prefix("sip:").and_then(|rest| rest.strip_suffix(";transport=tls;lr"));
    if host.is_none_or(|host| host.is_empty() || host.contains([':', ';', '@'])) {
        return Err("Route is not <sip:HOST;transport=tls;lr>".to_owned());
    }
    if field("Max-Forwards")? != "70" || field("Supported")? != "replaces, outbound, gruu, path" {
        return Err("Max-Forwards or Supported is another one".to_owned());
    }
    if httpdate::parse_http_date(field("Date")?).is_err() {
        return Err("Date is no date".to_owned());
    }
    if message.header("Contact").is_some() {
        return Err("a MESSAGE has no Contact".to_owned());
    }
    let from = field("From")?;
    if !from.starts_with("<sip:") || parameter(from, "tag").is_none() {
        return Err("From is not <sip:USER@DOMAIN>;tag=TAG".to_owned());
    }
    Ok(())
}

/// Reads the body, field by field.
fn read(body: &[u8]) -> Result<Command, String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let fields = |value: &Value, count: usize, what: &str| match value.as_object() {
        Some(object) if object.len() == count => Ok(()),
        Some(_) => Err(format!("{what} has {count} fields")),
        None => Err(format!("{what} is no object")),
    };
    fields(&body, 4, "the call")?;
    let json_id = body["id"].as_str().filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
    let json_id = json_id.ok_or("id is not a text of digits")?;
    if body["jsonrpc"] != "2.0" || body["method"] != "lock.setStatus" {
        return Err("jsonrpc or method is another one".to_owned());
    }
    let parameters = body["params"].as_array().filter(|list| list.len() == 1).and_then(|list| list.first());
    let parameters = parameters.ok_or("params is not a list of one")?;
    fields(parameters, 2, "params[0]")?;
    if parameters["status"] != "open" {
        return Err("status is another one than open".to_owned());
    }
    let plant = &parameters["receiver"]["plant"];
    fields(plant, 2, "receiver.plant")?;
    if plant.get("id") != Some(&Value::Null) {
        return Err("receiver.plant.id is not null".to_owned());
    }
    let opener = plant["coal"]["id"].as_str().ok_or("receiver.plant.coal.id is no text")?;
    Ok(Command { json_id: json_id.to_owned(), opener: opener.to_owned() })
}

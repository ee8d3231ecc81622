//! One message or request, and what came of it.

use crate::config::{Request, Target};
use doorward_core::driver::{Ctx, Fault, Message, Once};
use doorward_http::{Lost, Received};
use doorward_wire::attempt::Reason;
use std::time::Duration;

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// A message that opens something is worth nothing after this time.
const FRESH: Duration = Duration::from_secs(10);

/// What a command does, which decides how it may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// At most once, and never late.
    Opens,
    /// Once more does no harm.
    Locks,
}

/// Sends a command.
pub(crate) async fn command(ctx: &dyn Ctx, target: &Target, effect: Effect, once: Once) -> Result<(), Fault> {
    once.check(ctx.now())?;
    match target {
        Target::Mqtt { topic, payload } => {
            let fresh_for = (effect == Effect::Opens).then_some(FRESH);
            ctx.publish(Message { topic: topic.clone(), payload: payload.clone(), retain: false, fresh_for }).await
        }
        Target::Http(request) => ask(ctx, request).await.map(drop),
    }
}

/// Makes a request, and gives the body of a good answer.
pub(crate) async fn ask(ctx: &dyn Ctx, request: &Request) -> Result<Vec<u8>, Fault> {
    let Request { client, method, url, headers, body } = request;
    let place = place(url);
    let built = client.request(method.clone(), url.clone()).headers(headers.clone()).body(body.clone()).build();
    let built = built.map_err(|_| Fault::protocol("Check the door's address.", format!("no request could be made for {place}")))?;
    let Received { status, retry_after, body } = doorward_http::send(ctx, client, built, LIMIT).await.map_err(|lost| match lost {
        Lost::NotSent(why) => Fault::offline("The device cannot be reached. Look whether it is on.", format!("{place}: {why}")),
        Lost::Sent(why) => Fault::timeout("The device did not answer. Look at the door.", format!("{place}: {why}")),
    })?;
    let fault = match (status, body) {
        (200..300, Ok(body)) => return Ok(body),
        (200..300, Err(why)) => Fault::timeout("The device's answer broke off. Look at the door.", format!("{place}: {why}")),
        // It may have switched before it failed.
        (500.., _) => Fault::timeout("The device answered with an error. Look at the door.", format!("{place} answered {status}")),
        (300..400, _) => {
            Fault::refused("The device sent doorward somewhere else, where it does not follow.", format!("{place} answered {status}"))
        }
        _ => Fault::refused("The device refused. Check its address and what it wants.", format!("{place} answered {status}"))
            .because(Reason::VendorRefused),
    };
    let fault = fault.status(status);
    Err(match retry_after {
        Some(span) => fault.retry_after(span),
        None => fault,
    })
}

/// An address without what may be secret in it.
fn place(url: &reqwest::Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.port().map(|port| format!(":{port}")).unwrap_or_default())
}

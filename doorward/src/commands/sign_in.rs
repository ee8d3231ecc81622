//! Signing an account in: by a pasted address, or through a browser on this machine.

use super::ask;
use crate::{
    browser,
    cli::LoginWay,
    client::{Client, segment},
    failure::{Exit, Failure},
    output,
};
use doorward_bticino::proxy::{self, Proxy, ProxyError};
use doorward_core::Secret;
use doorward_http::Trust;
use reqwest::Url;
use serde_json::{Value, json};
use std::io::IsTerminal as _;

/// Signs an account in.
pub(super) async fn run(client: &Client, account: &str, way: &LoginWay) -> Result<(), Failure> {
    let path = format!("/accounts/{}/steps", segment(account));
    let started: Value = client.post(&path, json!({ "step": "start", "input": {} })).await?;
    let url = started["output"]["authorize_url"].as_str().ok_or_else(|| Failure::failed("the driver gave no address to sign in at"))?;
    let callback = match at_an_apps(url).filter(|_| !way.paste) {
        Some(sign_in) => beside_the_browser(&sign_in, way).await?,
        None => pasted(url)?,
    };
    client.post::<Value>(&path, json!({ "step": "exchange", "input": { "callback_url": callback.reveal() } })).await?;
    output::line("Signed in.");
    Ok(())
}

/// The address, if the sign-in ends at an app's own scheme, where no browser can go.
fn at_an_apps(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let redirect = url.query_pairs().find(|(name, _)| name == "redirect_uri").and_then(|(_, redirect)| Url::parse(&redirect).ok())?;
    proxy::is_an_apps(&redirect).then_some(url)
}

/// Prints where to sign in, and takes the address that the browser was sent to afterwards.
fn pasted(url: &str) -> Result<Secret<String>, Failure> {
    output::line("Open this address in a browser and allow the access:");
    output::line(&format!("\n  {url}\n"));
    output::line("The browser is then sent to an address that may show an error. Copy it from the address bar.");
    ask::line("Paste it here").map(Secret::new)
}

/// Shows the vendor's page to a browser on this machine, and takes where it ends; or what is pasted, if that comes first.
async fn beside_the_browser(sign_in: &Url, way: &LoginWay) -> Result<Secret<String>, Failure> {
    let trust = Trust { ca_file: way.ca_file.clone(), pin_sha256: None };
    let proxy = Proxy::start(sign_in, &trust, way.port, proxy::LIFE).await.map_err(|error| failure(&error))?;
    let opened = browser::open(proxy.url());
    let first = if opened { "A browser opens. If it does not, open this address in one" } else { "Open this address in a browser" };
    output::line(&format!("{first} on this machine, and sign in:\n\n  {}\n", proxy.url()));
    let terminal = std::io::stdin().is_terminal();
    if terminal {
        output::line("With a browser on another machine, open this address instead. It ends at one that the browser cannot open:");
        output::line(&format!("copy that, paste it here, and press Enter.\n\n  {sign_in}\n"));
    }
    output::note(&format!("Waiting for the sign-in in your browser, {} minutes…", proxy::LIFE.as_secs() / 60));
    let typed = async {
        match terminal.then(ask::later) {
            Some(line) => line.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = proxy.callback() => ended.map(|callback| callback.url).map_err(|error| failure(&error)),
        line = typed => Ok(Secret::new(line)),
    }
}

fn failure(error: &ProxyError) -> Failure {
    let exit = match error {
        ProxyError::Denied => Exit::Refused,
        ProxyError::Server(_) => Exit::Usage,
        ProxyError::SignIn(_) | ProxyError::Listen(_) | ProxyError::Failed(_) | ProxyError::TimedOut | ProxyError::Interrupted => {
            Exit::Failed
        }
    };
    let failure = Failure::new(exit, error.to_string());
    match error {
        ProxyError::TimedOut => failure.and("begin again; a browser on another machine signs in with --paste"),
        ProxyError::SignIn(_) | ProxyError::Listen(_) => failure.and("--paste does without"),
        ProxyError::Server(_) | ProxyError::Denied | ProxyError::Failed(_) | ProxyError::Interrupted => failure,
    }
}

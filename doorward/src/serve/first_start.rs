//! What a person is told when it listens: where, and how an administrator signs in for the first time.

use super::{Running, write_private};
use crate::{failure::Failure, output};
use doorward_engine::Handle;
use doorward_store::{ADMINISTRATOR, Person, Store, StoreError};
use std::{io::IsTerminal, path::PathBuf, time::Duration};

/// How long a sign-in link lives.
const LINK_LIFE: Duration = Duration::from_mins(15);

impl Running {
    /// Says where it listens, and how to sign in for the first time.
    pub(super) async fn announce(&self) -> Result<(), Failure> {
        // What an earlier start showed goes before anybody can be told that this one listens.
        let path = self.data.path.join("first-start.txt");
        let _ = std::fs::remove_file(&path);
        if let Some(address) = self.http {
            tracing::info!("doorward {} listens at http://{address}/", env!("CARGO_PKG_VERSION"));
        }
        let mut firsts = Vec::new();
        if !an_administrator_can_sign_in(self.handle.store()).await.map_err(failed)? {
            let text = "Sign in for the first time (works once, for 15 minutes):";
            firsts.push(("the first sign-in link", text, self.sign_in_link().await?));
        }
        if let Some(key) = &self.first_key {
            firsts.push(("the first tunnel key", "The first tunnel key, for a phone (shown this once):", key.reveal().clone()));
        }
        if std::io::stdout().is_terminal() {
            for (_, text, secret) in &firsts {
                output::line(&format!("\n{text}\n\n  {secret}\n"));
            }
        }
        if firsts.is_empty() || std::io::stdout().is_terminal() {
            return Ok(());
        }
        let secrets: Vec<&str> = firsts.iter().map(|(_, _, secret)| secret.as_str()).collect();
        write_private(&path, secrets.join("\n") + "\n")?;
        for (what, ..) in &firsts {
            tracing::info!("{what} is in {}", path.display());
        }
        tokio::spawn(gone_later(path, self.handle.clone()));
        Ok(())
    }

    /// A one-time link for the first administrator, who is made when there is none.
    pub(crate) async fn sign_in_link(&self) -> Result<String, Failure> {
        let (store, now) = (self.handle.store(), self.handle.now().utc);
        let person = match administrators(store).await.map_err(failed)?.into_iter().next() {
            Some(person) => person,
            None => store.add_person("Administrator", ADMINISTRATOR, now).await.map_err(failed)?,
        };
        let secret = store.add_link(&person.id, now.plus(LINK_LIFE)).await.map_err(failed)?;
        let base = match (&self.public_url, self.http) {
            (_, Some(address)) if address.ip().is_loopback() => format!("http://{address}"),
            (Some(url), _) => url.clone(),
            (None, Some(address)) => format!("http://{address}"),
            (None, None) => String::new(),
        };
        Ok(format!("{base}/link/{}", secret.reveal()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn failed(error: StoreError) -> Failure {
    Failure::failed(error.to_string())
}

/// In the order in which they were added. Others open doors, and cannot let anybody in here.
async fn administrators(store: &Store) -> Result<Vec<Person>, StoreError> {
    Ok(store.people().await?.into_iter().filter(|person| person.role == ADMINISTRATOR).collect())
}

async fn an_administrator_can_sign_in(store: &Store) -> Result<bool, StoreError> {
    for person in administrators(store).await? {
        if person.has_password || !store.passkeys(&person.id).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes what is shown at the first start once its link is worth nothing any more.
async fn gone_later(path: PathBuf, handle: Handle) {
    handle.clock().sleep_until(handle.now().mono.plus(LINK_LIFE)).await;
    let _ = std::fs::remove_file(path);
}

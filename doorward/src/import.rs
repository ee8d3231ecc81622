//! `doorward import`: files of the original programs.

use crate::{
    cli::Global,
    config::read_config,
    data::{self, Data},
    drivers::TABLE,
    failure::{Exit, Failure, Outcome, mistakes},
    output,
};
use anyhow::Context;
use doorward_core::driver::{Action, Entry, Settings, Target};
use doorward_engine::{AccountCtx, Clock, SystemClock};
use doorward_store::{OpenOptions, Store, StoredAccount};
use doorward_wire::account::AccountId;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};

/// A file larger than this is none of the originals'.
const MOST: u64 = 1 << 20;

pub(crate) async fn run(global: &Global, path: &Path) -> Outcome {
    let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    let size = std::fs::metadata(&file).with_context(|| format!("{} cannot be read", file.display()))?.len();
    if size > MOST {
        return Err(Failure::usage(format!("{} is too large to be a file of the original programs", file.display())));
    }
    let bytes = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let import = doorward_utec::legacy::parse(&bytes).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;

    let config = read_config(global, None)?;
    let data = Data::open(data::folder(global.data.as_deref()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let options = OpenOptions::new(data.store_url(&config.store.url), data.key()?, clock.now().utc);
    let store = Store::open(&options).await.map_err(|error| Failure::failed(error.to_string()))?;
    let utec = TABLE.iter().find(|entry| entry.kind == "utec").context("the U-tec driver is missing")?;
    if let Some(there) = known(&store, utec, &import.settings).await? {
        store.close().await;
        output::line(&format!(
            "The account of {} is there already, as {there}. Nothing was changed: its tokens may be older than doorward's.",
            file.display()
        ));
        output::line(&format!("To take it over anew, remove that one first: doorward account remove {there}"));
        return Ok(Exit::Done);
    }
    let account = add(&store, &clock, utec, import.settings).await?;
    let signed_in = match import.tokens {
        Some(tokens) => {
            let setup = store.account(&account).await.map_err(failed)?.context("the account is gone")?.settings;
            let driver = (utec.build)(&setup).map_err(|found| mistakes(&found, &file))?;
            let ctx = AccountCtx::alone(account.clone(), Arc::clone(&clock), store.clone());
            let step = Action::Setup { step: "tokens".into(), input: tokens };
            driver.act(&ctx, &Target::Account, step).await.map_err(|fault| Failure::failed(fault.person))?;
            true
        }
        None => false,
    };
    // Clients of the original send no credentials and ran on the same machine.
    store.set_setting("http.trusted", &json!("127.0.0.0/8,::1")).await.map_err(failed)?;
    store.close().await;
    output::line(&format!("Account {account} is imported from {}.", file.display()));
    for key in import.left_out {
        output::line(&format!("  not taken over: {key}"));
    }
    output::line(if signed_in {
        "It is signed in; its token is refreshed at the next start."
    } else {
        "It holds no tokens: sign in after the next start."
    });
    output::line("Clients on this machine may use the U-tec local API without credentials, as before (http.trusted).");
    Ok(Exit::Done)
}

/// An account with the same keys at the same cloud is the same account.
async fn known(store: &Store, utec: &Entry, settings: &Settings) -> Result<Option<AccountId>, Failure> {
    let about = (utec.about)();
    let same = |known: &StoredAccount| {
        ["access_key", "base_url"].iter().all(|name| {
            let default = about.fields.iter().find(|field| field.name == *name).map_or("", |field| field.default);
            let value = |settings: &Settings| settings.values.get(*name).and_then(Value::as_str).unwrap_or(default).to_owned();
            value(&known.settings) == value(settings)
        })
    };
    let accounts = store.accounts().await.map_err(failed)?;
    Ok(accounts.into_iter().find(|known| known.kind == utec.kind && same(known)).map(|known| known.id))
}

async fn add(store: &Store, clock: &Arc<dyn Clock>, utec: &Entry, settings: Settings) -> Result<AccountId, Failure> {
    (utec.build)(&settings).map_err(|mistakes| {
        mistakes.iter().fold(Failure::usage("the file cannot be used:"), |failure, mistake| failure.and(mistake.to_string()))
    })?;
    let wish = AccountId::from_name("U-tec", "utec");
    let mut account = StoredAccount {
        id: wish.clone(),
        kind: utec.kind.into(),
        name: "U-tec".into(),
        settings,
        managed: false,
        created: clock.now().utc,
    };
    let mut number = 2;
    while !store.add_account(&account).await.map_err(failed)? {
        account.id = wish.numbered(number);
        number += 1;
    }
    Ok(account.id)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: doorward_store::StoreError) -> Failure {
    Failure::failed(error.to_string())
}

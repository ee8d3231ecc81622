//! Accounts, doors and sites of the configuration file, as the store holds them.

use crate::config::{Config, DoorConfig, Own};
use anyhow::{Result, bail};
use doorward_core::setup::DoorSetup;
use doorward_store::{Site, Store, StoredAccount};
use doorward_wire::{
    Time,
    door::{Capability, DoorKind},
};

/// The site of doors that name none.
const HOME: &str = "home";

pub(super) async fn apply(store: &Store, config: &Config, now: Time) -> Result<()> {
    let known = store.sites().await?;
    if !known.iter().any(|site| site.id == HOME) || names_zone(config) {
        let home = known.into_iter().find(|site| site.id == HOME);
        let (name, holidays) = home.map_or_else(|| ("Home".into(), Vec::new()), |site| (site.name, site.holidays));
        store.put_site(&Site { id: HOME.into(), name, time_zone: config.server.time_zone.clone(), holidays }).await?;
    }
    for site in &config.sites {
        store.put_site(site).await?;
    }
    accounts(store, config, now).await?;
    doors(store, config, now).await
}

/// The sites that the configuration sets, so that nobody changes them elsewhere in vain.
pub(super) fn sites(config: &Config) -> Vec<String> {
    let home = names_zone(config).then(|| HOME.to_owned());
    config.sites.iter().map(|site| site.id.clone()).chain(home).collect()
}

fn names_zone(config: &Config) -> bool {
    config.shown.iter().any(|(key, _, from)| key == "server.time_zone" && from != "default")
}

async fn accounts(store: &Store, config: &Config, now: Time) -> Result<()> {
    let before = store.accounts().await?;
    for account in &config.accounts {
        let stored = StoredAccount {
            id: account.id(),
            kind: account.kind.clone(),
            name: account.name.clone(),
            settings: account.settings.clone(),
            managed: true,
            created: now,
        };
        match before.iter().find(|known| known.id == stored.id) {
            None => {
                store.add_account(&stored).await?;
            }
            Some(known) if known.kind == stored.kind => {
                store.update_account(&stored).await?;
            }
            Some(known) => bail!("account {} is of kind {} in the store; give it another name in the file", known.id, known.kind),
        }
    }
    // What the file no longer names can be changed, and removed, on the page.
    for mut known in before.into_iter().filter(|known| known.managed) {
        if [doorward_foreign::KIND, doorward_ble::KIND].contains(&known.kind.as_str())
            && config.accounts.iter().all(|account| account.id() != known.id)
        {
            // But for those of doors that only the file knows.
            store.remove_account(&known.id).await?;
        } else if !config.accounts.iter().any(|account| account.id() == known.id) {
            known.managed = false;
            store.update_account(&known).await?;
        }
    }
    Ok(())
}

async fn doors(store: &Store, config: &Config, now: Time) -> Result<()> {
    let before = store.doors().await?;
    for wish in &config.doors {
        let known = before.iter().find(|door| door.id == wish.id || same_place(door, wish));
        let setup = match (known, &wish.account, &wish.external) {
            (Some(known), ..) => merged(store, known.clone(), wish),
            (None, Some(account), Some(external)) => merged(store, new(wish, account.clone(), external.clone()), wish),
            // Its driver has not found it yet: it is set up at the next start after that.
            (None, ..) => {
                tracing::warn!(door = %wish.id, "the configuration names a door that no driver has found; name its account and external too");
                continue;
            }
        };
        if !store.put_door(&setup, now).await? {
            bail!("door {} names an account that does not exist, or another door has its account and external", wish.id);
        }
    }
    for mut known in before.into_iter().filter(|door| door.managed) {
        if config.doors.iter().any(|wish| wish.id == known.id) {
            continue;
        }
        if matches!(known.kind, DoorKind::Foreign | DoorKind::Radio) {
            store.remove_door(&known.id).await?;
        } else {
            known.managed = false;
            known.contact = None;
            store.put_door(&known, now).await?;
        }
    }
    Ok(())
}

fn same_place(door: &DoorSetup, wish: &DoorConfig) -> bool {
    wish.account.as_ref() == Some(&door.account) && wish.external.as_ref() == Some(&door.external)
}

fn new(wish: &DoorConfig, account: doorward_wire::account::AccountId, external: String) -> DoorSetup {
    let kind = wish.own.as_ref().map_or(DoorKind::Bolt, Own::kind);
    let capabilities = vec![Capability::Lock, Capability::Unlock, Capability::Refresh];
    DoorSetup { external, ..DoorSetup::configured(wish.id.clone(), HOME, kind, account, capabilities) }
}

fn merged(store: &Store, mut door: DoorSetup, wish: &DoorConfig) -> DoorSetup {
    door.managed = true;
    if let Some(name) = &wish.name {
        door.name.clone_from(name);
    }
    if let Some(site) = &wish.site {
        door.site.clone_from(site);
    }
    door.confirm_within = wish.confirm_within.unwrap_or(door.confirm_within);
    door.auto_lock = wish.auto_lock.clone().unwrap_or(door.auto_lock);
    door.fail_open = wish.fail_open.unwrap_or(door.fail_open);
    door.contact.clone_from(&wish.contact);
    door.mqtt_code = wish.mqtt_code.as_ref().map(|code| store.mqtt_code_hash(&door.id, code));
    door.stream.clone_from(&wish.stream);
    if let Some(own) = &wish.own {
        door.capabilities = own.capabilities();
    }
    door
}

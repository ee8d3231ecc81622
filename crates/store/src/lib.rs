//! What must survive: one [`Store`] on SQLite (default) or PostgreSQL.
//!
//! * [`Store::open`] opens or makes the database, and refuses what it must not touch.
//! * [`Store::write`] is how the keeper's records become durable: all of one turn in one commit, events numbered without
//!   gaps and hash-chained. [`Store::audit_verify`] checks that chain.
//! * Accounts, doors, people, groups, grants, passes, tokens, links, passkeys, second factors, sessions, settings, MQTT users, webhooks and deliveries,
//!   browsers that are told have a file each.
//! * [`Store::backup`] and [`restore`] carry a whole house from one database to another.
//!
//! It must never read a clock or the environment (time is an argument), never write a secret that is not sealed or
//! reduced to a code, and never decide who may do what.
//!
//! # To add a table
//! 1. Write the next number in `migrations/sqlite` **and** `migrations/postgres`, and name both in `migrate.rs`. Keep to
//!    the column types at the top of `0001.sql`: they are why one statement serves both databases.
//! 2. Give the subject a file of its own with `impl Store`, and its statements the style of `settings.rs`.
//! 3. Add the table to the list in `backup/tables.rs`, or say there why it is not carried.
//! 4. Tell its story in `tests/it`, which runs on both databases.
//!
//! ```
//! use doorward_store::{MasterKey, OpenOptions, Store};
//! use doorward_wire::Time;
//!
//! # let folder = std::env::temp_dir().join(format!("doorward-store-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder).unwrap();
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! let key = MasterKey::load_or_create(&folder.join("master.key")).unwrap();
//! let url = format!("sqlite:{}", folder.join("doorward.db").display());
//! let store = Store::open(&OpenOptions::new(url, key, Time::from_micros(0))).await.unwrap();
//!
//! store.set_setting("page.language", &"en".into()).await.unwrap();
//! assert_eq!(store.setting("page.language").await.unwrap(), Some("en".into()));
//! # store.close().await;
//! # });
//! # std::fs::remove_dir_all(&folder).unwrap();
//! ```

#![allow(clippy::doc_markdown, reason = "SQLite and PostgreSQL are names, not code")]

mod accounts;
mod attempts;
mod backup;
mod chain;
mod claims;
mod db;
mod deliveries;
mod devices;
mod dice;
mod doors;
mod error;
mod events;
mod firmware;
mod grants;
mod groups;
mod key;
mod migrate;
mod mqtt_users;
mod open;
mod owners;
mod pass_doors;
mod passes;
mod passkeys;
mod people;
mod phones;
mod push;
mod records;
mod rings;
mod rollouts;
mod seal;
mod second_factors;
mod sessions;
mod settings;
mod space;
mod tokens;
mod tunnel_keys;
mod url;
mod webhooks;

pub use accounts::StoredAccount;
pub use backup::{BackupError, Beside, Put, Restored, restore};
pub use chain::{AuditReport, Pruned};
pub use claims::{Claim, Claimed, Contest};
pub use deliveries::{Delivery, NextDelivery, TryEnd, WebhookStanding};
pub use devices::{BrokerUser, DeviceReport, DeviceSecrets, NewDevice, Provisioned, StoredDevice};
pub use doors::{DoorEdit, Site};
pub use error::StoreError;
pub use events::EventQuery;
pub use firmware::{DeviceOffer, Firmware};
pub use grants::{ADMINISTRATOR, Holder, StoredGrant};
pub use groups::Group;
pub use key::{KeyError, MasterKey};
pub use mqtt_users::{MqttLogin, MqttPassword, MqttUser};
pub use open::{OpenError, OpenOptions, Store};
pub use pass_doors::PassDoor;
pub use passes::{NewPass, StoredPass};
pub use passkeys::{AddedPasskey, NewPasskey, StoredPasskey};
pub use people::Person;
pub use phones::{BleSession, Enrol, LockTold, PhoneKey, PhoneOf};
pub use push::{AddedPush, PushSubscription, PushTarget};
pub use rings::RingQuery;
pub use rollouts::{Rollout, RolloutDevice, RolloutState};
pub use second_factors::{SecondFactor, Tried};
pub use sessions::{SessionRow, StoredSession};
pub use settings::settings_at;
pub use space::Space;
pub use tokens::{Token, TokenRow};
pub use tunnel_keys::{AddedTunnelKey, TunnelKey, TunnelSecret};
pub use webhooks::{AddedWebhook, Webhook};

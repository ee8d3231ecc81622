//! A house with one foreign door.

use doorward_core::{
    Secret,
    conformance::Bench,
    driver::{Driver, Mistake, Once, Settings, Target},
};
use doorward_wire::Time;
use serde_json::Value;
use std::sync::Arc;

pub(crate) fn build(doors: &Value) -> Result<Arc<dyn Driver>, Vec<Mistake>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut settings = Settings::default();
    settings.secrets.insert("doors".into(), Secret::new(doors.to_string()));
    (doorward_foreign::ENTRY.build)(&settings)
}

pub(crate) fn driver(doors: &Value) -> Arc<dyn Driver> {
    build(doors).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

pub(crate) fn bench() -> Arc<Bench> {
    Arc::new(Bench::new("2026-11-25T12:00:00Z".parse().unwrap()))
}

pub(crate) fn door(id: &str) -> Target {
    Target::Door { id: id.parse().unwrap(), external: id.into(), time_zone: "UTC".into() }
}

pub(crate) fn once() -> Once {
    Once { not_after: Time::from_micros(i64::MAX) }
}

//! Ways in which the vendor's cloud may differ without being wrong: with each of them an account comes from its sign-in to an
//! open gate and a bell that rings.

use crate::account::{Account, GATE};
use doorward_core::driver::{Action, Ctx as _, Lease, Report, Target};
use doorward_sim::legrand::{CaShape, Config, Faults};
use serde_json::json;
use std::time::Duration;

/// How long the vendor's tokens live here: not as long as one is taken to live that does not say.
const TOKEN_LIFE: u64 = 1800;

async fn works_with(faults: Faults) {
    let account = Account::with(Config { expires_in: TOKEN_LIFE, ..Config::default() }).await;
    account.sim.set_faults(faults.clone());
    account.sign_in().await.unwrap();
    let leases = leases(&account.bench.reports());
    assert_eq!(leases[0].not_after, Some(account.bench.now().utc.plus(Duration::from_secs(TOKEN_LIFE))), "{faults:?}");
    let registered = account.step("register", &json!({})).await;
    assert_eq!(registered.unwrap()["gateways"], json!(["gw-1234", "gw-5678"]), "{faults:?}");
    let watch = account.connected().await;
    let found = account.reports_until("the doors are known", |report| matches!(report, Report::Found(_))).await;
    let found = found.iter().find_map(|report| if let Report::Found(found) = report { Some(found.len()) } else { None });
    assert_eq!(found, Some(3), "{faults:?}");
    // This asks for the plant alone.
    account.act(&Target::Account, Action::Renew("certificate:gw-1234".into())).await.unwrap();
    account.open(GATE).await.unwrap();
    let ring = account.sim.ring("20").remove(0);
    let is_it = |report: &Report| matches!(report, Report::Ring { external, call, .. } if external == GATE && *call == ring);
    account.reports_until("it rings", is_it).await;
    account.sim.cancel(&ring);
    account.reports_until("it is over", |report| matches!(report, Report::RingEnded { call, .. } if *call == ring)).await;
    watch.stop().await;
    let counted = account.sim.counters();
    let wrong = [counted.malformed, counted.sip_malformed, counted.wrong_passwords, counted.certificates_refused, counted.unauthorized];
    assert_eq!(wrong, [0; 5], "{faults:?}");
}

fn leases(reports: &[Report]) -> Vec<Lease> {
    reports.iter().filter_map(|report| if let Report::Lease(lease) = report { Some(lease.clone()) } else { None }).collect()
}

#[tokio::test]
async fn every_oddity_of_the_vendors_cloud_is_read() {
    let odd: [fn(&mut Faults); 12] = [
        |faults| faults.plant_wrapped = true,
        |faults| faults.lists_wrapped = true,
        |faults| faults.plant_id_in_snake_case = true,
        |faults| faults.gateway_with_entity_id = true,
        |faults| faults.sub_without_oid = true,
        |faults| faults.expires_in_as_text = true,
        |faults| faults.no_refresh_token = true,
        |faults| faults.ca_shape = CaShape::ChainOfPem,
        |faults| faults.ca_shape = CaShape::OneDer,
        |faults| faults.no_opaque = true,
        |faults| faults.realm = Some("another realm, with a comma".into()),
        |faults| faults.invite_with_sdp = true,
    ];
    for change in odd {
        let mut faults = Faults::default();
        change(&mut faults);
        works_with(faults).await;
    }
}

#[tokio::test]
async fn all_oddities_at_once_are_read() {
    works_with(Faults {
        plant_wrapped: true,
        lists_wrapped: true,
        plant_id_in_snake_case: true,
        gateway_with_entity_id: true,
        sub_without_oid: true,
        expires_in_as_text: true,
        no_refresh_token: true,
        ca_shape: CaShape::ChainOfPem,
        no_opaque: true,
        realm: Some("another realm".into()),
        invite_with_sdp: true,
        ..Faults::default()
    })
    .await;
}

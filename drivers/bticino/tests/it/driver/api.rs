//! What the vendor's API says of the account.

use crate::account::{Account, GATE, door};
use doorward_core::driver::{Action, Report, Target};
use doorward_wire::attempt::Reason;
use std::time::Duration;

#[tokio::test]
async fn a_door_that_is_deleted_at_the_vendor_is_missing_and_refused() {
    let account = Account::registered().await;
    let _watch = account.connected().await;
    account.sim.delete_opener("20#2", true);
    assert_eq!(account.open(GATE).await.unwrap_err().reason, Some(Reason::VendorRefused));
    assert_eq!(account.act(&door(GATE), Action::Refresh).await.unwrap_err().reason, Some(Reason::VendorRefused));
    account.bench.reports();
    account.act(&Target::Account, Action::Discover).await.unwrap();
    let found = account.bench.reports();
    assert!(found.iter().any(|report| matches!(report, Report::Found(found) if found.len() == 2)));
    account.sim.delete_plant("plant-1", true);
    account.pass(Duration::from_mins(6)).await;
    account.reports_until("its doors are missing", |report| matches!(report, Report::Found(found) if found.len() == 1)).await;
}

#[tokio::test]
async fn support_sees_every_call_without_secrets() {
    let account = Account::registered().await;
    for name in account.driver.about().calls {
        let said = account.act(&Target::Account, Action::Call((*name).into())).await.unwrap().output.to_string();
        assert!(!said.contains("Password\":\"") || said.contains("sipPassword\":\"…\""), "{name}: {said}");
        assert!(said.starts_with(['[', '{']), "{name}");
    }
    account.act(&Target::Account, Action::Call("sip_accounts:gw-5678".into())).await.unwrap();
    account.act(&Target::Account, Action::Call("plant:nowhere".into())).await.unwrap_err();
}

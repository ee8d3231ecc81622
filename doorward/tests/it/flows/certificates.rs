//! A client certificate is renewed thirty days ahead by itself, and the connection is handed over.

use super::intercom::{Intercom, PATIENCE, until};
use doorward_sim::legrand::Config;
use doorward_store::EventQuery;
use doorward_wire::event::EventKind;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_thirty_days_ahead() {
    let intercom = Intercom::start(Config { certificate_lives: 61 * DAY, ..Config::default() }, &[]).await;
    let Intercom { sim, clock, handle, .. } = &intercom;

    // A quarter after thirty days it is still too early; a quarter after thirty-one it is due.
    for quarter in 1..=4 * 31 + 1 {
        clock.advance(DAY / 4);
        let mut under_way = handle.under_way();
        // A step of the clock wakes the loop, which calls the driver: give both a moment to begin.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let _ = tokio::time::timeout(Duration::from_secs(2), under_way.wait_for(|count| *count == 0)).await;
        assert!(quarter > 4 * 30 + 1 || sim.counters().client_certs == 1, "it was renewed too early");
    }
    until("it is renewed", || sim.counters().client_certs == 2).await;
    let renewed = EventQuery { kind: Some(EventKind::AccountCertificateRenewed), ..EventQuery::default() };
    let wait = async {
        while handle.store().events(&renewed).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "nobody was told");
    intercom.stop().await;
}

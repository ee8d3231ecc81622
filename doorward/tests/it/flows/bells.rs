//! A bell that is told busy after a moment, as older clients do, rings in the house for as long as any other.

use super::intercom::{Intercom, until};
use crate::house::actor;
use doorward_core::keeper::{RingCommand, RingEnd};
use doorward_sim::legrand::Config;
use doorward_wire::ring::RingState;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_that_is_told_busy_rings_in_the_house_until_somebody_sees_to_it_or_its_time_is_over() {
    let intercom = Intercom::start(Config::default(), &[("busy_after_seconds", json!(2))]).await;
    let Intercom { sim, clock, handle, .. } = &intercom;
    until("its doors are known", || handle.board().doors().len() == 2).await;
    let mut rings = Vec::new();
    for at_once in 1..=3 {
        // It comes over the connection of the one before: whatever was told of that was told before.
        let call = sim.ring("20").remove(0);
        until("they ring", || handle.board().ringing().len() == at_once).await;
        rings.push(handle.board().ringing().remove(0).id);
        until("it rings here", || sim.ring_view(&call).legs[0].statuses == [180]).await;
        clock.advance(Duration::from_secs(2));
        until("it is told busy", || sim.ring_view(&call).legs[0].statuses == [180, 486]).await;
    }
    for (ring, end, state) in [(rings[0], RingEnd::Answered, RingState::Answered), (rings[1], RingEnd::Rejected, RingState::Rejected)] {
        let ended = handle.end_ring(RingCommand { id: ring, end, actor: actor() }).await.unwrap();
        assert_eq!(ended.map(|ring| ring.state), Some(state));
    }
    clock.advance(Duration::from_secs(90));
    until("its time is over", || handle.board().ringing().is_empty()).await;
    assert_eq!(handle.ring(rings[2]).await.unwrap().map(|ring| ring.state), Some(RingState::Timeout));
    intercom.stop().await;
}

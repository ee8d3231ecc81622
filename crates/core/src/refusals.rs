//! Refusals of callers that did not say who they are: counted all, written down in small numbers.
//!
//! Anybody can send a million wrong requests. So the audit gets one row for each reason, source prefix and minute, and
//! at most [`ROWS`] rows a minute in all; what goes beyond is one row that says how many more there were.

use crate::record::NewEvent;
use doorward_wire::{Time, attempt::Reason, event::EventKind};
use serde_json::json;
use std::{collections::BTreeMap, net::IpAddr};

/// Rows a minute, whatever comes in.
pub const ROWS: usize = 60;
const MINUTE: i64 = 60_000_000;

/// Counts refusals and says once a minute what to write down.
#[derive(Debug, Default)]
pub struct Refusals {
    minute: i64,
    rows: BTreeMap<(Reason, String), u64>,
    beyond: u64,
}

impl Refusals {
    /// Counts one refusal. Returns the rows of the minute before, when a new one began.
    pub fn note(&mut self, reason: Reason, source: Option<IpAddr>, now: Time) -> Vec<NewEvent> {
        let done = self.flush(now);
        let key = (reason, source.map_or_else(|| "local".into(), prefix));
        let full = self.rows.len() >= ROWS - 1;
        match self.rows.get_mut(&key) {
            Some(count) => *count += 1,
            None if full => self.beyond += 1,
            None => {
                self.rows.insert(key, 1);
            }
        }
        done
    }

    /// The rows of the minute before, when it is over.
    pub fn flush(&mut self, now: Time) -> Vec<NewEvent> {
        let minute = now.as_micros().div_euclid(MINUTE);
        if minute == self.minute {
            return Vec::new();
        }
        let at = Time::from_micros(self.minute.saturating_mul(MINUTE)).max(now.minus(std::time::Duration::from_hours(1)));
        self.minute = minute;
        let beyond = std::mem::take(&mut self.beyond);
        let event = |reason, data| NewEvent::new(at, EventKind::RequestsRefused).reason(Some(reason)).data(data);
        let mut events: Vec<NewEvent> = std::mem::take(&mut self.rows)
            .into_iter()
            .map(|((reason, source), count)| event(reason, json!({ "source": source, "count": count })))
            .collect();
        if beyond > 0 {
            events.push(event(Reason::RateLimited, json!({ "source": "others", "count": beyond })));
        }
        events
    }
}

/// The network that a source belongs to: /24 of IPv4, /48 of IPv6. One subscriber usually holds that much.
fn prefix(source: IpAddr) -> String {
    match source.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_4_strangers_cannot_fill_the_audit() {
        let mut refusals = Refusals::default();
        let mut rows = Vec::new();
        for second in 0..120_u32 {
            for host in 0..2_000_u32 {
                let source = IpAddr::from((host * 256).to_be_bytes());
                rows.extend(refusals.note(Reason::NotAuthenticated, Some(source), Time::from_micros(i64::from(second) * 1_000_000)));
            }
        }
        rows.extend(refusals.flush(Time::from_micros(MINUTE * 2)));
        assert_eq!(rows.len(), 2 * ROWS, "two minutes, sixty rows each");
        let total: u64 = rows.iter().filter_map(|row| row.data["count"].as_u64()).sum();
        assert_eq!(total, 120 * 2_000, "none is lost from the counts");
    }

    #[test]
    fn neighbours_share_a_row() {
        let mut refusals = Refusals::default();
        for host in ["10.0.0.1", "10.0.0.77", "::ffff:10.0.0.9"] {
            refusals.note(Reason::NotAuthenticated, host.parse().ok(), Time::default());
        }
        let rows = refusals.flush(Time::from_micros(MINUTE));
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].data, json!({ "source": "10.0.0.0/24", "count": 3 }));
    }
}

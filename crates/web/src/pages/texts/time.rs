//! Times in words. `assets/live.js` says the same, with the words of `js_words`.

use super::Texts;
use doorward_wire::Time;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Texts {
    /// How long ago, or in how long.
    pub(crate) fn relative(&self, time: Time, now: Time) -> String {
        let (seconds, first) = if time > now { (time.since(now).as_secs(), 5) } else { (now.since(time).as_secs(), 1) };
        let (unit, word) = match seconds {
            0..3 => return self.word(0).to_owned(),
            3..MINUTE => (1, first),
            MINUTE..HOUR => (MINUTE, first + 1),
            // Up to a day and a half hours say more than “1 days”.
            HOUR..129_600 => (HOUR, first + 2),
            _ => (DAY, first + 3),
        };
        // What is to come is rounded: four hours are “in 4 h” also a second later.
        let amount = if time > now { (seconds + unit / 2) / unit } else { seconds / unit };
        self.word(word).replace('#', &amount.to_string())
    }

    fn word(&self, number: usize) -> &'static str {
        self.js_words.split('|').nth(number).unwrap_or_default()
    }

    /// A day as a heading.
    pub(crate) fn day(&self, day: jiff::civil::Date, today: jiff::civil::Date) -> String {
        if day == today {
            return "Today".into();
        }
        if day.tomorrow().is_ok_and(|next| next == today) {
            return "Yesterday".into();
        }
        let shape = if day.year() == today.year() { "%A, %-d %B" } else { "%A, %-d %B %Y" };
        day.strftime(shape).to_string()
    }

    /// How long after something: `2.1 s`.
    pub(crate) fn after(&self, span: std::time::Duration) -> String {
        let seconds = span.as_secs_f64();
        if seconds < 60.0 { format!("after {seconds:.1} s") } else { format!("after {:.0} min", seconds / 60.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::EN;
    use doorward_wire::Time;
    use std::time::Duration;

    #[test]
    fn an_age_is_said_in_the_largest_fitting_unit() {
        let now = Time::from_micros(1_800_000_000_000_000);
        for (seconds, words) in
            [(0, "just now"), (12, "12 s ago"), (130, "2 min ago"), (7_300, "2 h ago"), (86_400, "24 h ago"), (6 * 86_400, "6 days ago")]
        {
            assert_eq!(EN.relative(now.minus(Duration::from_secs(seconds)), now), words);
        }
        for (seconds, words) in
            [(145 * 3600, "in 6 days"), (4 * 3600 - 5, "in 4 h"), (3 * 3600 + 1700, "in 3 h"), (89, "in 1 min"), (59, "in 59 s")]
        {
            assert_eq!(EN.relative(now.plus(Duration::from_secs(seconds)), now), words);
        }
    }
}

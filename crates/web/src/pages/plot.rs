//! How well phones were heard at a lock, as a picture: time to the right, signal strength upwards.

use super::texts::state::Tone;
use doorward_wire::Time;
use std::{fmt::Write as _, time::Duration};

/// The time that a plot shows.
pub(super) const SPAN: Duration = Duration::from_mins(10);
/// Its size, and the room for what is written beside it.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;
/// The weakest and the strongest signal that it shows, in dBm.
const WEAKEST: f64 = -100.0;
const STRONGEST: f64 = -40.0;

/// A token that was heard.
pub(super) struct Point {
    pub(super) at: Time,
    pub(super) rssi: i8,
    pub(super) tone: Tone,
}

/// What is written in it.
pub(super) struct Words<'a> {
    /// What it shows, for who does not see it.
    pub(super) title: &'a str,
    pub(super) threshold: &'a str,
    pub(super) now: &'a str,
    /// How long ago it begins.
    pub(super) start: &'a str,
}

/// Draws it, as SVG whose colours are the page's.
pub(super) fn draw(points: &[Point], threshold: Option<i8>, now: Time, words: &Words<'_>) -> String {
    let mut svg = format!(
        r#"<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}"><g class="plot-grid">"#,
        escaped(words.title)
    );
    for rssi in [-50.0, -70.0, -90.0] {
        let y = up(rssi);
        let _ = write!(svg, r#"<path d="M{LEFT} {y:.1}H{WIDTH}"/><text x="{:.0}" y="{:.1}">{rssi:.0}</text>"#, LEFT - 6.0, y + 4.0);
    }
    let foot = HEIGHT - 6.0;
    let _ = write!(
        svg,
        r#"<path d="M{LEFT} {:.1}H{WIDTH}"/><text class="start" x="{LEFT}" y="{foot}">{}</text><text x="{WIDTH}" y="{foot}">{}</text></g>"#,
        HEIGHT - BOTTOM,
        escaped(words.start),
        escaped(words.now)
    );
    if let Some(threshold) = threshold {
        let y = up(f64::from(threshold));
        let _ = write!(
            svg,
            r#"<g class="plot-threshold"><path d="M{LEFT} {y:.1}H{WIDTH}"/><text class="start" x="{:.0}" y="{:.1}">{}</text></g>"#,
            LEFT + 6.0,
            y - 6.0,
            escaped(words.threshold)
        );
    }
    // What opened or was refused lies above what was merely heard.
    for calm in [true, false] {
        for point in points.iter().filter(|point| (point.tone == "calm") == calm) {
            if let Some(x) = along(point.at, now) {
                let (y, size) = (up(f64::from(point.rssi)), if calm { 2.5 } else { 4.5 });
                let _ = write!(svg, r#"<circle class="{}" cx="{x:.1}" cy="{y:.1}" r="{size}"/>"#, point.tone);
            }
        }
    }
    svg + "</svg>"
}

fn up(rssi: f64) -> f64 {
    let part = (rssi.clamp(WEAKEST, STRONGEST) - WEAKEST) / (STRONGEST - WEAKEST);
    HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP)
}

fn along(at: Time, now: Time) -> Option<f64> {
    let ago = now.since(at);
    (ago <= SPAN).then(|| WIDTH - ago.as_secs_f64() / SPAN.as_secs_f64() * (WIDTH - LEFT))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stronger_signal_is_higher_and_a_later_one_further_right() {
        assert!(up(-50.0) < up(-70.0) && up(-70.0) < up(-127.0));
        assert!((up(-127.0) - up(-100.0)).abs() < f64::EPSILON, "what is weaker than the scale stands at its foot");
        let now = Time::from_seconds(1_000_000);
        let at = |ago| along(now.minus(Duration::from_secs(ago)), now);
        assert!(at(0) > at(60) && at(60) > at(599));
        assert_eq!(at(601), None);
    }

    #[test]
    fn what_is_written_in_it_is_text() {
        let words = Words { title: "a\"<b>", threshold: "t", now: "now", start: "then" };
        let point = Point { at: Time::from_seconds(10), rssi: -60, tone: "ok" };
        let svg = draw(&[point], Some(-70), Time::from_seconds(11), &words);
        assert!(svg.contains("a&quot;&lt;b>") && svg.contains(r#"<circle class="ok""#) && svg.contains("plot-threshold"));
    }
}

//! Log lines: to standard error, and the last ones to the logbook.

use crate::config::LogFormat;
use doorward_web::logbook::{LogLine, Logbook};
use doorward_wire::Time;
use std::fmt::Write as _;
use tracing::{
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{Layer, Registry, filter::Targets, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// Changes the filter while the program runs.
pub(crate) type Reload = reload::Handle<Targets, Registry>;

/// Parts that log whole messages or every query are held back, whatever the filter says.
const QUIET: [(&str, LevelFilter); 6] = [
    ("sqlx", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
    ("reqwest", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
    ("mqtt5", LevelFilter::ERROR),
    ("mqtt5::client", LevelFilter::OFF),
];

pub(crate) fn filter(level: &str, debug: bool) -> Targets {
    let level = if debug { format!("debug,{level}").replace(",info", "") } else { level.to_owned() };
    level.parse::<Targets>().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO)).with_targets(QUIET)
}

/// Starts logging. A second call changes nothing.
pub(crate) fn start(level: &str, format: LogFormat, debug: bool) -> (Logbook, Option<Reload>) {
    let logbook = Logbook::default();
    let (filter, reload) = reload::Layer::new(filter(level, debug));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let text = (format == LogFormat::Text)
        .then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false));
    let json = (format == LogFormat::Json).then(|| tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr));
    let started = tracing_subscriber::registry().with(filter).with(text).with(json).with(ToLogbook(logbook.clone())).try_init();
    (logbook, started.is_ok().then_some(reload))
}

struct ToLogbook(Logbook);

impl<S: tracing::Subscriber> Layer<S> for ToLogbook {
    fn on_event(&self, event: &tracing::Event<'_>, _context: tracing_subscriber::layer::Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        #[expect(clippy::disallowed_methods, reason = "a log line is stamped when it is written, whatever clock the house runs on")]
        let time = Time::from(jiff::Timestamp::now());
        self.0.push(LogLine {
            time,
            level: event.metadata().level().as_str(),
            target: event.metadata().target().to_owned(),
            text: line.message + &line.fields,
        });
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }
}

//! The one run loop: tokio around the core.
//!
//! * [`House::start`] reads what the store holds, starts a driver for each account, and runs the keeper.
//! * [`Handle`] is how everything else talks to it: submit a command, read the board, listen to notices.
//! * [`Clock`] is the only clock and the only dice of the program; tests bring their own.
//!
//! It must never decide anything about doors (that is `doorward-core`) and never speak HTTP or MQTT.
//!
//! How a command travels: [`Handle::submit`] → `run` → the keeper → `scribe` (durable) → `post` (driver) → the keeper →
//! `fan` (everybody who listens).

mod board;
mod clock;
mod ctx;
mod drivers;
mod errand;
mod exchange;
mod fan;
mod handle;
mod message;
mod part;
mod post;
mod presented;
mod run;
mod scribe;

pub use board::{Board, Raw};
pub use clock::{Clock, ManualClock, SystemClock};
pub use ctx::AccountCtx;
pub use drivers::SetUpError;
pub use exchange::{Exchange, Line};
pub use handle::Handle;
pub use part::Part;
pub use run::{House, StartError, Stopper};

//! Real peers: PostgreSQL, Chromium.

mod chromium;
mod postgresql;

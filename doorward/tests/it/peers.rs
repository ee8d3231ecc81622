//! Real peers: PostgreSQL, Chromium.

mod postgresql;

//! Real peers: PostgreSQL, Chromium, the clients of Mosquitto.

mod chromium;
mod mosquitto;
mod postgresql;

//! Real peers: PostgreSQL, Chromium, Home Assistant, the clients of Mosquitto.

mod chromium;
mod home_assistant;
mod mosquitto;
mod postgresql;

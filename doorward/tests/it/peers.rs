//! Real peers: PostgreSQL, Chromium, Home Assistant, Mosquitto and its clients, RabbitMQ.

mod administration;
mod ble;
mod ble_lab;
mod broker;
mod brokers;
mod bticino;
mod chromium;
mod external;
mod firmware;
mod fleet;
mod fleet_brokers;
mod fleet_page;
mod foreign;
mod gates;
mod home_assistant;
mod locks;
mod mosquitto;
mod passkeys;
mod postgresql;
mod remote;
mod rings;
mod tunnel;
mod ways;

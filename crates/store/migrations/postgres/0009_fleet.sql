-- Devices of the fleet: their credentials, sealed, and how far their broker user is.
CREATE TABLE devices (
    id           TEXT    NOT NULL PRIMARY KEY,
    mac          TEXT    UNIQUE,
    name         TEXT,
    mqtt_user    TEXT    NOT NULL UNIQUE,
    sealed       BYTEA    NOT NULL,
    password_mac BYTEA    NOT NULL,
    token_mac    BYTEA    NOT NULL,
    epoch        BIGINT NOT NULL,
    broker       TEXT    NOT NULL,
    broker_error TEXT,
    created_at   BIGINT NOT NULL,
    revoked_at   BIGINT
);
CREATE INDEX devices_unsettled ON devices (id) WHERE broker <> 'settled';

-- What a device told of itself: it changes often, and holds nothing secret.
CREATE TABLE device_states (
    device    TEXT    NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    firmware  TEXT,
    seen_at   BIGINT,
    online    BIGINT,
    uptime    BIGINT,
    free_heap BIGINT,
    wifi_rssi BIGINT
);

-- Devices that may fetch their credentials themselves for a while, and who did.
CREATE TABLE device_claims (
    device     TEXT    NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    until      BIGINT,
    network    TEXT,
    claimed_by TEXT,
    claimed_at BIGINT
);

CREATE INDEX events_device ON events (device, seq) WHERE device IS NOT NULL;

-- Devices of the fleet: their credentials, sealed, and how far their broker user is.
CREATE TABLE devices (
    id           TEXT    NOT NULL PRIMARY KEY,
    mac          TEXT    UNIQUE,
    name         TEXT,
    mqtt_user    TEXT    NOT NULL UNIQUE,
    sealed       BLOB    NOT NULL,
    password_mac BLOB    NOT NULL,
    token_mac    BLOB    NOT NULL,
    epoch        INTEGER NOT NULL,
    broker       TEXT    NOT NULL,
    broker_error TEXT,
    created_at   INTEGER NOT NULL,
    revoked_at   INTEGER
) STRICT;
CREATE INDEX devices_unsettled ON devices (id) WHERE broker <> 'settled';

-- What a device told of itself: it changes often, and holds nothing secret.
CREATE TABLE device_states (
    device    TEXT    NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    firmware  TEXT,
    seen_at   INTEGER,
    online    INTEGER,
    uptime    INTEGER,
    free_heap INTEGER,
    wifi_rssi INTEGER
) STRICT;

-- Devices that may fetch their credentials themselves for a while, and who did.
CREATE TABLE device_claims (
    device     TEXT    NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    until      INTEGER,
    network    TEXT,
    claimed_by TEXT,
    claimed_at INTEGER
) STRICT;

CREATE INDEX events_device ON events (device, seq) WHERE device IS NOT NULL;

-- Devices of the fleet: their credentials, sealed, and how far their broker user is.
CREATE TABLE devices (
    id           TEXT    NOT NULL PRIMARY KEY,
    mac          TEXT    UNIQUE,
    name         TEXT,
    hardware     TEXT,
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

-- Firmware; an image without a hash is not whole.
CREATE TABLE firmware (
    hardware    TEXT NOT NULL,
    version     TEXT NOT NULL,
    min_version TEXT NOT NULL,
    channel     TEXT NOT NULL,
    notes       TEXT NOT NULL,
    size        INTEGER NOT NULL,
    hash        TEXT,
    signature   TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (hardware, version)
) STRICT;
CREATE TABLE firmware_chunks (
    hardware TEXT NOT NULL,
    version  TEXT NOT NULL,
    number   INTEGER NOT NULL,
    bytes    BLOB NOT NULL,
    PRIMARY KEY (hardware, version, number)
) STRICT;

-- What devices are offered of it, and how far they are.
CREATE TABLE device_offers (
    device     TEXT NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    hardware   TEXT NOT NULL,
    version    TEXT NOT NULL,
    state      TEXT NOT NULL,
    progress   INTEGER NOT NULL,
    error      TEXT,
    fetched    INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    offered_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- Rollouts, and how far each of their devices is.
CREATE TABLE rollouts (
    id         TEXT NOT NULL PRIMARY KEY,
    hardware   TEXT NOT NULL,
    version    TEXT NOT NULL,
    plan_json  TEXT NOT NULL,
    state      TEXT NOT NULL,
    detail     TEXT,
    grp        INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE TABLE rollout_devices (
    rollout    TEXT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    device     TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    bucket     INTEGER NOT NULL,
    grp        INTEGER NOT NULL,
    state      TEXT NOT NULL,
    before     TEXT,
    tries      INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    error      TEXT,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (rollout, device)
) STRICT;
CREATE INDEX rollout_devices_state ON rollout_devices (rollout, state, grp);

CREATE INDEX events_device ON events (device, seq) WHERE device IS NOT NULL;

-- Devices of the fleet: their credentials, sealed, and how far their broker user is.
CREATE TABLE devices (
    id           TEXT    NOT NULL PRIMARY KEY,
    mac          TEXT    UNIQUE,
    name         TEXT,
    hardware     TEXT,
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

-- Firmware; an image without a hash is not whole.
CREATE TABLE firmware (
    hardware    TEXT NOT NULL,
    version     TEXT NOT NULL,
    min_version TEXT NOT NULL,
    channel     TEXT NOT NULL,
    notes       TEXT NOT NULL,
    size        BIGINT NOT NULL,
    hash        TEXT,
    signature   TEXT,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (hardware, version)
);
CREATE TABLE firmware_chunks (
    hardware TEXT NOT NULL,
    version  TEXT NOT NULL,
    number   BIGINT NOT NULL,
    bytes    BYTEA NOT NULL,
    PRIMARY KEY (hardware, version, number)
);

-- What devices are offered of it, and how far they are.
CREATE TABLE device_offers (
    device     TEXT NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    hardware   TEXT NOT NULL,
    version    TEXT NOT NULL,
    state      TEXT NOT NULL,
    progress   BIGINT NOT NULL,
    error      TEXT,
    fetched    BIGINT NOT NULL,
    tries      BIGINT NOT NULL,
    offered_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- Rollouts, and how far each of their devices is.
CREATE TABLE rollouts (
    id         TEXT NOT NULL PRIMARY KEY,
    hardware   TEXT NOT NULL,
    version    TEXT NOT NULL,
    plan_json  TEXT NOT NULL,
    state      TEXT NOT NULL,
    detail     TEXT,
    grp        BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE TABLE rollout_devices (
    rollout    TEXT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    device     TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    bucket     BIGINT NOT NULL,
    grp        BIGINT NOT NULL,
    state      TEXT NOT NULL,
    before     TEXT,
    tries      BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    error      TEXT,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (rollout, device)
);
CREATE INDEX rollout_devices_state ON rollout_devices (rollout, state, grp);

CREATE INDEX events_device ON events (device, seq) WHERE device IS NOT NULL;

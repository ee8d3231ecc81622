-- Keys of phones that may ask for sessions at locks with a radio, of a person or of a pass.
CREATE TABLE phone_keys (
    fingerprint TEXT    NOT NULL PRIMARY KEY,
    person      TEXT    REFERENCES people (id) ON DELETE CASCADE,
    pass        TEXT    REFERENCES passes (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    public      BYTEA    NOT NULL,
    created_at  BIGINT NOT NULL,
    used_at     BIGINT,
    CHECK (num_nonnulls(person, pass) = 1)
);
CREATE INDEX phone_keys_person ON phone_keys (person);
CREATE INDEX phone_keys_pass ON phone_keys (pass);

-- One-time codes by which a phone brings its key.
CREATE TABLE phone_invites (
    mac        BYTEA    NOT NULL PRIMARY KEY,
    person     TEXT    REFERENCES people (id) ON DELETE CASCADE,
    pass       TEXT    REFERENCES passes (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);

-- Sessions that were issued. Their keys are with the phone and the lock, and nowhere else.
CREATE TABLE ble_sessions (
    nonce      TEXT    NOT NULL PRIMARY KEY,
    door       TEXT    NOT NULL,
    person     TEXT    REFERENCES people (id) ON DELETE CASCADE,
    pass       TEXT    REFERENCES passes (id) ON DELETE CASCADE,
    phone      TEXT    NOT NULL,
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX ble_sessions_door ON ble_sessions (door, expires_at);

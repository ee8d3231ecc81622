-- Keys of phones that may ask for sessions at locks with a radio, of a person or of a pass.
CREATE TABLE phone_keys (
    fingerprint TEXT    NOT NULL PRIMARY KEY,
    person      TEXT    REFERENCES people (id) ON DELETE CASCADE,
    pass        TEXT    REFERENCES passes (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    public      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    used_at     INTEGER,
    CHECK ((person IS NOT NULL) + (pass IS NOT NULL) = 1)
) STRICT;
CREATE INDEX phone_keys_person ON phone_keys (person);
CREATE INDEX phone_keys_pass ON phone_keys (pass);

-- One-time codes by which a phone brings its key.
CREATE TABLE phone_invites (
    mac        BLOB    NOT NULL PRIMARY KEY,
    person     TEXT    REFERENCES people (id) ON DELETE CASCADE,
    pass       TEXT    REFERENCES passes (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;

-- Sessions that were issued. Their keys are with the phone and the lock, and nowhere else.
CREATE TABLE ble_sessions (
    nonce      TEXT    NOT NULL PRIMARY KEY,
    door       TEXT    NOT NULL,
    person     TEXT    REFERENCES people (id) ON DELETE CASCADE,
    pass       TEXT    REFERENCES passes (id) ON DELETE CASCADE,
    phone      TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX ble_sessions_door ON ble_sessions (door, expires_at);

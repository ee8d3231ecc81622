-- How somebody is known to an authenticator: random, so that it says nothing about them (WebAuthn, user handle).
CREATE TABLE user_handles (
    person TEXT NOT NULL PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    handle BLOB NOT NULL UNIQUE
) STRICT;

-- Passkeys: the public half of each, and how far its counter was when it was last used.
CREATE TABLE passkeys (
    id              TEXT    NOT NULL PRIMARY KEY,
    credential      BLOB    NOT NULL UNIQUE,
    person          TEXT    NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    name            TEXT    NOT NULL,
    rp_id           TEXT    NOT NULL,
    alg             INTEGER NOT NULL,
    public_key      BLOB    NOT NULL,
    signatures      INTEGER NOT NULL,
    backup_eligible INTEGER NOT NULL,
    backed_up       INTEGER NOT NULL,
    transports      TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    used_at         INTEGER
) STRICT;
CREATE INDEX passkeys_person ON passkeys (person);

-- The second factor of a password: an authenticator app's secret, sealed. It counts once it was confirmed with a code.
CREATE TABLE second_factors (
    person       TEXT    NOT NULL PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    sealed       BLOB    NOT NULL,
    last_step    INTEGER NOT NULL,
    wrong        INTEGER NOT NULL,
    not_until    INTEGER,
    created_at   INTEGER NOT NULL,
    confirmed_at INTEGER
) STRICT;

-- Codes that stand in for the app once each.
CREATE TABLE recovery_codes (
    mac     BLOB    NOT NULL PRIMARY KEY,
    person  TEXT    NOT NULL REFERENCES second_factors (person) ON DELETE CASCADE,
    used_at INTEGER
) STRICT;
CREATE INDEX recovery_codes_person ON recovery_codes (person);

-- So that a session can be listed and ended by whoever does not know its secret.
ALTER TABLE sessions ADD COLUMN public_id TEXT;
ALTER TABLE sessions ADD COLUMN browser TEXT;
ALTER TABLE sessions ADD COLUMN began_at INTEGER;
ALTER TABLE sessions ADD COLUMN seen_at INTEGER;
UPDATE sessions SET public_id = lower(hex(randomblob(16)));
CREATE UNIQUE INDEX sessions_public_id ON sessions (public_id);

-- How somebody is known to an authenticator: random, so that it says nothing about them (WebAuthn, user handle).
CREATE TABLE user_handles (
    person TEXT NOT NULL PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    handle BYTEA NOT NULL UNIQUE
);

-- Passkeys: the public half of each, and how far its counter was when it was last used.
CREATE TABLE passkeys (
    id              TEXT    NOT NULL PRIMARY KEY,
    credential      BYTEA   NOT NULL UNIQUE,
    person          TEXT    NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    name            TEXT    NOT NULL,
    rp_id           TEXT    NOT NULL,
    alg             BIGINT NOT NULL,
    public_key      BYTEA   NOT NULL,
    signatures      BIGINT NOT NULL,
    backup_eligible BIGINT NOT NULL,
    backed_up       BIGINT NOT NULL,
    transports      TEXT    NOT NULL,
    created_at      BIGINT NOT NULL,
    used_at         BIGINT
);
CREATE INDEX passkeys_person ON passkeys (person);

-- The second factor of a password: an authenticator app's secret, sealed. It counts once it was confirmed with a code.
CREATE TABLE second_factors (
    person       TEXT    NOT NULL PRIMARY KEY REFERENCES people (id) ON DELETE CASCADE,
    sealed       BYTEA   NOT NULL,
    last_step    BIGINT NOT NULL,
    wrong        BIGINT NOT NULL,
    not_until    BIGINT,
    created_at   BIGINT NOT NULL,
    confirmed_at BIGINT
);

-- Codes that stand in for the app once each.
CREATE TABLE recovery_codes (
    mac     BYTEA   NOT NULL PRIMARY KEY,
    person  TEXT    NOT NULL REFERENCES second_factors (person) ON DELETE CASCADE,
    used_at BIGINT
);
CREATE INDEX recovery_codes_person ON recovery_codes (person);

-- So that a session can be listed and ended by whoever does not know its secret.
ALTER TABLE sessions ADD COLUMN public_id TEXT;
ALTER TABLE sessions ADD COLUMN browser TEXT;
ALTER TABLE sessions ADD COLUMN began_at BIGINT;
ALTER TABLE sessions ADD COLUMN seen_at BIGINT;
UPDATE sessions SET public_id = replace(gen_random_uuid()::text, '-', '');
CREATE UNIQUE INDEX sessions_public_id ON sessions (public_id);

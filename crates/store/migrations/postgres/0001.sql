-- Times are microseconds since 1970 in UTC, booleans 0 or 1, JSON is TEXT, identifiers are TEXT: the same statements
-- serve SQLite. A migration that was released is never edited; add the next number in both folders.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE settings (
    key        TEXT NOT NULL PRIMARY KEY,
    value_json TEXT NOT NULL
);

CREATE TABLE sites (
    id        TEXT NOT NULL PRIMARY KEY,
    name      TEXT NOT NULL,
    time_zone TEXT NOT NULL
);

CREATE TABLE accounts (
    id          TEXT    NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    values_json TEXT    NOT NULL,
    managed     BIGINT  NOT NULL,
    created_at  BIGINT  NOT NULL
);

-- What drivers keep, and the secrets of accounts under `setting:<name>`. Sealed.
CREATE TABLE kept (
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    key     TEXT NOT NULL,
    sealed  BYTEA NOT NULL,
    PRIMARY KEY (account, key)
);

CREATE TABLE doors (
    id            TEXT    NOT NULL PRIMARY KEY,
    account       TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    external      TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    site          TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    capabilities  TEXT    NOT NULL,
    settings_json TEXT    NOT NULL,
    managed       BIGINT  NOT NULL,
    last_state    TEXT,
    created_at    BIGINT  NOT NULL,
    UNIQUE (account, external)
);

-- The owner of an account alone acts for it (rule 10). A takeover counts the epoch up, so older claims fail.
CREATE TABLE owners (
    account     TEXT    NOT NULL PRIMARY KEY,
    owner       TEXT    NOT NULL,
    owner_epoch BIGINT  NOT NULL,
    renewed_at  BIGINT  NOT NULL
);

-- One row for each command; only the claim of `acted_at` may act (rule 1).
CREATE TABLE attempts (
    id            TEXT    NOT NULL PRIMARY KEY,
    door          TEXT    NOT NULL,
    account       TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    actor_kind    TEXT    NOT NULL,
    actor_id      TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    reason        TEXT,
    detail        TEXT,
    evidence_json TEXT    NOT NULL,
    not_after     BIGINT  NOT NULL,
    owner_epoch   BIGINT  NOT NULL,
    acted_at      BIGINT,
    created_at    BIGINT  NOT NULL,
    finished_at   BIGINT
);
CREATE INDEX attempts_pending ON attempts (account) WHERE state = 'pending';

-- The audit (rule 4): hash = SHA-256(hash of the row before ‖ this row). Names of people are not in it.
CREATE TABLE events (
    seq        BIGINT  NOT NULL PRIMARY KEY,
    time       BIGINT  NOT NULL,
    kind       TEXT    NOT NULL,
    door       TEXT,
    account    TEXT,
    device     TEXT,
    actor_kind TEXT,
    actor_id   TEXT,
    reason     TEXT,
    attempt    TEXT,
    data_json  TEXT,
    hash       BYTEA   NOT NULL
);
CREATE INDEX events_door ON events (door, seq) WHERE door IS NOT NULL;
CREATE INDEX events_kind ON events (kind, seq);

-- The end of the audit. Its lock is what makes sequence numbers gapless.
CREATE TABLE chain (
    id   BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
    seq  BIGINT  NOT NULL,
    hash BYTEA   NOT NULL,
    mac  BYTEA   NOT NULL
);

-- What stands for events that were removed.
CREATE TABLE checkpoints (
    seq  BIGINT  NOT NULL PRIMARY KEY,
    hash BYTEA   NOT NULL,
    time BIGINT  NOT NULL,
    mac  BYTEA   NOT NULL
);

CREATE TABLE people (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    password_hash TEXT,
    created_at    BIGINT  NOT NULL
);

CREATE TABLE tokens (
    id           TEXT    NOT NULL PRIMARY KEY,
    person       TEXT    REFERENCES people (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    mac          BYTEA   NOT NULL UNIQUE,
    scopes       TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT
);

-- Sign-in links that work once.
CREATE TABLE links (
    mac        BYTEA   NOT NULL PRIMARY KEY,
    person     TEXT    NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    expires_at BIGINT  NOT NULL,
    used_at    BIGINT
);

CREATE TABLE sessions (
    mac        BYTEA   NOT NULL PRIMARY KEY,
    person     TEXT    REFERENCES people (id) ON DELETE CASCADE,
    sealed     BYTEA   NOT NULL,
    expires_at BIGINT  NOT NULL
);
CREATE INDEX sessions_person ON sessions (person);
CREATE INDEX sessions_expires ON sessions (expires_at);

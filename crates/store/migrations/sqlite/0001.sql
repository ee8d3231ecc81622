-- Times are microseconds since 1970 in UTC, booleans 0 or 1, JSON is TEXT, identifiers are TEXT: the same statements
-- serve PostgreSQL. A migration that was released is never edited; add the next number in both folders.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE settings (
    key        TEXT NOT NULL PRIMARY KEY,
    value_json TEXT NOT NULL
) STRICT;

CREATE TABLE sites (
    id        TEXT NOT NULL PRIMARY KEY,
    name      TEXT NOT NULL,
    time_zone TEXT NOT NULL
) STRICT;

CREATE TABLE accounts (
    id          TEXT    NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    values_json TEXT    NOT NULL,
    managed     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

-- What drivers keep, and the secrets of accounts under `setting:<name>`. Sealed.
CREATE TABLE kept (
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    key     TEXT NOT NULL,
    sealed  BLOB NOT NULL,
    PRIMARY KEY (account, key)
) STRICT;

CREATE TABLE doors (
    id            TEXT    NOT NULL PRIMARY KEY,
    account       TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    external      TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    site          TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    capabilities  TEXT    NOT NULL,
    settings_json TEXT    NOT NULL,
    managed       INTEGER NOT NULL,
    last_state    TEXT,
    created_at    INTEGER NOT NULL,
    UNIQUE (account, external)
) STRICT;

-- The owner of an account alone acts for it (rule 10). A takeover counts the epoch up, so older claims fail.
CREATE TABLE owners (
    account     TEXT    NOT NULL PRIMARY KEY,
    owner       TEXT    NOT NULL,
    owner_epoch INTEGER NOT NULL,
    renewed_at  INTEGER NOT NULL
) STRICT;

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
    not_after     INTEGER NOT NULL,
    owner_epoch   INTEGER NOT NULL,
    acted_at      INTEGER,
    created_at    INTEGER NOT NULL,
    finished_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_pending ON attempts (account) WHERE state = 'pending';

-- The audit (rule 4): hash = SHA-256(hash of the row before ‖ this row). Names of people are not in it.
CREATE TABLE events (
    seq        INTEGER NOT NULL PRIMARY KEY,
    time       INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    door       TEXT,
    account    TEXT,
    device     TEXT,
    actor_kind TEXT,
    actor_id   TEXT,
    reason     TEXT,
    attempt    TEXT,
    data_json  TEXT,
    hash       BLOB    NOT NULL
) STRICT;
CREATE INDEX events_door ON events (door, seq) WHERE door IS NOT NULL;
CREATE INDEX events_kind ON events (kind, seq);

-- The end of the audit. Its lock is what makes sequence numbers gapless.
CREATE TABLE chain (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq  INTEGER NOT NULL,
    hash BLOB    NOT NULL,
    mac  BLOB    NOT NULL
) STRICT;

-- What stands for events that were removed.
CREATE TABLE checkpoints (
    seq  INTEGER NOT NULL PRIMARY KEY,
    hash BLOB    NOT NULL,
    time INTEGER NOT NULL,
    mac  BLOB    NOT NULL
) STRICT;

CREATE TABLE people (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    password_hash TEXT,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    id           TEXT    NOT NULL PRIMARY KEY,
    person       TEXT    REFERENCES people (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    mac          BLOB    NOT NULL UNIQUE,
    scopes       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER
) STRICT;

-- Sign-in links that work once.
CREATE TABLE links (
    mac        BLOB    NOT NULL PRIMARY KEY,
    person     TEXT    NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;

CREATE TABLE sessions (
    mac        BLOB    NOT NULL PRIMARY KEY,
    person     TEXT    REFERENCES people (id) ON DELETE CASCADE,
    sealed     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_person ON sessions (person);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- Servers of others that are told what happened. Their secrets are sealed, since messages are signed with them; after a
-- rotation the previous one signs along until previous_until. seen_seq is the last event that was looked at for a webhook.
CREATE TABLE webhooks (
    id              TEXT    NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    url             TEXT    NOT NULL,
    kinds_json      TEXT    NOT NULL,
    doors_json      TEXT    NOT NULL,
    allow_private   INTEGER NOT NULL,
    disabled        TEXT,
    sealed          BLOB    NOT NULL,
    previous_sealed BLOB,
    previous_until  INTEGER,
    seen_seq        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;

-- One event on its way to one webhook. Whoever counts attempts up may send it; next_at is then when others may.
CREATE TABLE webhook_deliveries (
    message     TEXT    NOT NULL PRIMARY KEY,
    webhook     TEXT    NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    seq         INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    next_at     INTEGER,
    status      INTEGER,
    error       TEXT,
    created_at  INTEGER NOT NULL,
    tried_at    INTEGER,
    finished_at INTEGER,
    UNIQUE (webhook, seq)
) STRICT;
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook, seq) WHERE state = 'pending';

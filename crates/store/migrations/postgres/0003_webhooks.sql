-- Servers of others that are told what happened. Their secrets are sealed, since messages are signed with them; after a
-- rotation the previous one signs along until previous_until. seen_seq is the last event that was looked at for a webhook.
CREATE TABLE webhooks (
    id              TEXT    NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    url             TEXT    NOT NULL,
    kinds_json      TEXT    NOT NULL,
    doors_json      TEXT    NOT NULL,
    allow_private   BIGINT  NOT NULL,
    disabled        TEXT,
    sealed          BYTEA   NOT NULL,
    previous_sealed BYTEA,
    previous_until  BIGINT,
    seen_seq        BIGINT  NOT NULL,
    created_at      BIGINT  NOT NULL
);

-- One event on its way to one webhook. Whoever counts attempts up may send it; next_at is then when others may.
CREATE TABLE webhook_deliveries (
    message     TEXT    NOT NULL PRIMARY KEY,
    webhook     TEXT    NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    seq         BIGINT  NOT NULL,
    state       TEXT    NOT NULL,
    attempts    BIGINT  NOT NULL,
    next_at     BIGINT,
    status      BIGINT,
    error       TEXT,
    created_at  BIGINT  NOT NULL,
    tried_at    BIGINT,
    finished_at BIGINT,
    UNIQUE (webhook, seq)
);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook, seq) WHERE state = 'pending';

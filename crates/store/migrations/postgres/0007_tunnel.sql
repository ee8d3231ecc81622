-- Keys of the tunnel. The secret is sealed, since messages are opened and sealed with it. accepted_until is written ahead:
-- after a start nothing that a client made before it is taken. seals counts what was sealed, ahead too.
CREATE TABLE tunnel_keys (
    name           TEXT    NOT NULL PRIMARY KEY,
    person         TEXT    REFERENCES people (id) ON DELETE CASCADE,
    mac            BYTEA    NOT NULL UNIQUE,
    sealed         BYTEA    NOT NULL,
    previous       BYTEA,
    previous_until BIGINT,
    scopes_json    TEXT    NOT NULL,
    created_at     BIGINT NOT NULL,
    used_at        BIGINT,
    accepted_until BIGINT NOT NULL,
    seals          BIGINT NOT NULL
);
CREATE INDEX tunnel_keys_person ON tunnel_keys (person);

-- Nonces that were used, where several copies of doorward share a database. Each is kept until what it was sealed with is too
-- old anyway.
CREATE TABLE tunnel_nonces (
    key        TEXT    NOT NULL REFERENCES tunnel_keys (name) ON DELETE CASCADE,
    nonce      BYTEA   NOT NULL,
    kept_until BIGINT  NOT NULL,
    PRIMARY KEY (key, nonce)
);
CREATE INDEX tunnel_nonces_kept ON tunnel_nonces (kept_until);

-- Keys of the tunnel. The secret is sealed, since messages are opened and sealed with it. accepted_until is written ahead:
-- after a start nothing that a client made before it is taken. seals counts what was sealed, ahead too.
CREATE TABLE tunnel_keys (
    name           TEXT    NOT NULL PRIMARY KEY,
    person         TEXT    REFERENCES people (id) ON DELETE CASCADE,
    mac            BLOB    NOT NULL UNIQUE,
    sealed         BLOB    NOT NULL,
    previous       BLOB,
    previous_until INTEGER,
    scopes_json    TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    used_at        INTEGER,
    accepted_until INTEGER NOT NULL,
    seals          INTEGER NOT NULL
) STRICT;
CREATE INDEX tunnel_keys_person ON tunnel_keys (person);

-- Nonces that were used, where several copies of doorward share a database. Each is kept until what it was sealed with is too
-- old anyway.
CREATE TABLE tunnel_nonces (
    key        TEXT    NOT NULL REFERENCES tunnel_keys (name) ON DELETE CASCADE,
    nonce      BLOB    NOT NULL,
    kept_until INTEGER NOT NULL,
    PRIMARY KEY (key, nonce)
) STRICT;
CREATE INDEX tunnel_nonces_kept ON tunnel_nonces (kept_until);

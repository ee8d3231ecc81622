-- A password that somebody chose is kept as an Argon2id hash; then mac matches nothing.
ALTER TABLE mqtt_users ADD COLUMN password_hash TEXT;

-- Whose a client identifier is: the session that the broker keeps under it is nobody else's.
CREATE TABLE mqtt_clients (
    client_id TEXT    NOT NULL PRIMARY KEY,
    user_name TEXT    NOT NULL REFERENCES mqtt_users (name) ON DELETE CASCADE,
    seen_at   BIGINT  NOT NULL
);
CREATE INDEX mqtt_clients_user ON mqtt_clients (user_name);

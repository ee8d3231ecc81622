-- Users of the MQTT broker. Their secrets are made here and known only by a code; rights are JSON arrays of topic filters.
CREATE TABLE mqtt_users (
    name           TEXT    NOT NULL PRIMARY KEY,
    mac            BLOB    NOT NULL,
    publish_json   TEXT    NOT NULL,
    subscribe_json TEXT    NOT NULL,
    client_id      TEXT,
    created_at     INTEGER NOT NULL
) STRICT;

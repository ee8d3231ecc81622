-- Browsers that are told what happens (Web Push). Each belongs to the session in which somebody turned it on, and goes with
-- it. Where it is and what its messages are encrypted for is sealed; lane_json is how far it is.
CREATE TABLE push_subscriptions (
    id         TEXT    NOT NULL PRIMARY KEY,
    person     TEXT    NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    session    BLOB    NOT NULL REFERENCES sessions (mac) ON DELETE CASCADE,
    mac        BLOB    NOT NULL UNIQUE,
    sealed     BLOB    NOT NULL,
    lane_json  TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX push_subscriptions_person ON push_subscriptions (person);
CREATE INDEX push_subscriptions_session ON push_subscriptions (session);

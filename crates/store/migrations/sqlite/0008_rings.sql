-- Rings at doors and what came of them. Their events are in the audit; this is what a page lists.
CREATE TABLE rings (
    id         TEXT    NOT NULL PRIMARY KEY,
    door       TEXT    NOT NULL,
    account    TEXT,
    caller     TEXT,
    state      TEXT    NOT NULL,
    began_at   INTEGER NOT NULL,
    ended_at   INTEGER,
    actor_kind TEXT,
    actor_id   TEXT,
    attempt    TEXT
) STRICT;
CREATE INDEX rings_began ON rings (began_at, id);
CREATE INDEX rings_door ON rings (door, began_at, id);
CREATE INDEX rings_ringing ON rings (account) WHERE state = 'ringing';

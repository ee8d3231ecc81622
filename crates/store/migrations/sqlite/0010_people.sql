-- Groups of people.
CREATE TABLE groups (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE group_members (
    grp    TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    person TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    PRIMARY KEY (grp, person)
) STRICT;
CREATE INDEX group_members_person ON group_members (person);

-- Passes of guests. Names are those of people and stand here alone. The link's secret is found by its code, and sealed
-- so that it can be shown again. What somebody gives who may not do everything is within what they may do themselves.
CREATE TABLE passes (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    mac           BLOB    NOT NULL UNIQUE,
    sealed        BLOB    NOT NULL,
    pin_mac       BLOB,
    pin_wrong     INTEGER NOT NULL,
    pin_not_until INTEGER,
    made_by_kind  TEXT    NOT NULL,
    made_by       TEXT    NOT NULL,
    within        TEXT    REFERENCES people (id) ON DELETE CASCADE,
    created_at    INTEGER NOT NULL,
    seen_at       INTEGER
) STRICT;

-- Rights to open: of a person, a group or a pass.
CREATE TABLE grants (
    id         TEXT    NOT NULL PRIMARY KEY,
    person     TEXT    REFERENCES people (id) ON DELETE CASCADE,
    grp        TEXT    REFERENCES groups (id) ON DELETE CASCADE,
    pass       TEXT    UNIQUE REFERENCES passes (id) ON DELETE CASCADE,
    doors_json TEXT    NOT NULL,
    actions    TEXT    NOT NULL,
    terms_json TEXT    NOT NULL,
    uses       INTEGER,
    used       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER,
    revoked_at INTEGER,
    CHECK ((person IS NOT NULL) + (grp IS NOT NULL) + (pass IS NOT NULL) = 1)
) STRICT;
CREATE INDEX grants_person ON grants (person);
CREATE INDEX grants_grp ON grants (grp);

-- What became of a pass at each of its doors: by which means it opens, and what the lock keeps for it.
CREATE TABLE pass_doors (
    pass       TEXT    NOT NULL REFERENCES passes (id) ON DELETE CASCADE,
    door       TEXT    NOT NULL,
    means      TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    detail     TEXT,
    external   TEXT,
    sealed     BLOB,
    wish       TEXT    NOT NULL,
    tries      INTEGER NOT NULL,
    next_at    INTEGER,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (pass, door, means)
) STRICT;
CREATE INDEX pass_doors_next ON pass_doors (next_at) WHERE next_at IS NOT NULL;

ALTER TABLE attempts ADD COLUMN grant_id TEXT;
ALTER TABLE sites ADD COLUMN holidays_json TEXT NOT NULL DEFAULT '[]';

-- Groups of people.
CREATE TABLE groups (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE group_members (
    grp    TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    person TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    PRIMARY KEY (grp, person)
);
CREATE INDEX group_members_person ON group_members (person);

-- Passes of guests. Names are those of people and stand here alone. The link's secret is found by its code, and sealed
-- so that it can be shown again. What somebody gives who may not do everything is within what they may do themselves.
CREATE TABLE passes (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    mac           BYTEA    NOT NULL UNIQUE,
    sealed        BYTEA    NOT NULL,
    pin_mac       BYTEA,
    pin_wrong     BIGINT NOT NULL,
    pin_not_until BIGINT,
    made_by_kind  TEXT    NOT NULL,
    made_by       TEXT    NOT NULL,
    within        TEXT    REFERENCES people (id) ON DELETE CASCADE,
    created_at    BIGINT NOT NULL,
    seen_at       BIGINT
);

-- Rights to open: of a person, a group or a pass.
CREATE TABLE grants (
    id         TEXT    NOT NULL PRIMARY KEY,
    person     TEXT    REFERENCES people (id) ON DELETE CASCADE,
    grp        TEXT    REFERENCES groups (id) ON DELETE CASCADE,
    pass       TEXT    UNIQUE REFERENCES passes (id) ON DELETE CASCADE,
    doors_json TEXT    NOT NULL,
    actions    TEXT    NOT NULL,
    terms_json TEXT    NOT NULL,
    uses       BIGINT,
    used       BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    revoked_at BIGINT,
    CHECK (num_nonnulls(person, grp, pass) = 1)
);
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
    sealed     BYTEA,
    wish       TEXT    NOT NULL,
    tries      BIGINT NOT NULL,
    next_at    BIGINT,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (pass, door, means)
);
CREATE INDEX pass_doors_next ON pass_doors (next_at) WHERE next_at IS NOT NULL;

ALTER TABLE attempts ADD COLUMN grant_id TEXT;
ALTER TABLE sites ADD COLUMN holidays_json TEXT NOT NULL DEFAULT '[]';

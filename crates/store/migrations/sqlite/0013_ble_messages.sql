-- What a lock is told of a session, so that it is told again after a restart. The key in it is sealed for the lock.
ALTER TABLE ble_sessions ADD COLUMN lock TEXT NOT NULL DEFAULT '';
ALTER TABLE ble_sessions ADD COLUMN own INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ble_sessions ADD COLUMN message BLOB NOT NULL DEFAULT x'';

-- What each lock was told last of sessions that are taken back.
CREATE TABLE ble_revoked (
    lock TEXT NOT NULL PRIMARY KEY,
    list TEXT NOT NULL
) STRICT;

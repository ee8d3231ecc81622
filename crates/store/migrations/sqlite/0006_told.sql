-- What events told of a door besides its state, so that a start does not tell it again.
ALTER TABLE doors ADD COLUMN last_online INTEGER;
ALTER TABLE doors ADD COLUMN last_battery_low INTEGER;

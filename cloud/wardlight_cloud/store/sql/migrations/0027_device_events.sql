-- Events of devices are asked for by device: trouble with its link, data of it that are lost.
CREATE INDEX status_device ON status (device_id, name, time) WHERE device_id IS NOT NULL;
CREATE INDEX gap_device ON gap (device, started_at) WHERE device IS NOT NULL;

-- Objects that gateways brought and that are on no index, for an operator to look at.

CREATE TABLE blob_aside (
    aside_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    received_at timestamptz,
    size bigint NOT NULL,
    spool bigint NOT NULL,
    item bigint NOT NULL,
    sha256 bytea NOT NULL,
    gateway text NOT NULL,
    reason text NOT NULL,
    calling_ae text NOT NULL,
    called_ae text NOT NULL,
    peer text NOT NULL,
    PRIMARY KEY (gateway, spool, item)
);
CREATE INDEX blob_aside_at ON blob_aside (aside_at);
CREATE INDEX blob_aside_hash ON blob_aside (sha256);

-- Blobs that are kept and are on no index.

-- name: put
INSERT INTO blob_aside (
    sha256, size, reason, gateway, spool, item, calling_ae, called_ae, peer, received_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING

-- name: found
SELECT sha256, size, reason, gateway, spool, item, calling_ae, called_ae, peer, received_at, aside_at
FROM blob_aside
ORDER BY aside_at DESC
LIMIT $1

-- name: remove
DELETE FROM blob_aside WHERE sha256 = $1 RETURNING item

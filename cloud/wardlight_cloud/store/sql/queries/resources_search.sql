-- Searches of stored resources. Conditions are put together by resource_search.py: what stands as
-- ``:name`` is the place of an argument, or a condition that it made before. ``:apart`` is `` + 0``
-- where few patients are looked for: all of theirs is then found first, by an index, and put in
-- order, instead of going through everybody's in that order.

-- part: columns
r.resource_key, r.commit_seq, r.stored_at, r.is_new, r.kind, r.id, r.patients, r.body

-- name: search_by_creation
SELECT {columns}
FROM resource AS r
WHERE :where
ORDER BY r.resource_key:apart
LIMIT :limit

-- name: search_by_commit
SELECT {columns}
FROM resource AS r
WHERE :where
ORDER BY r.commit_seq:apart, r.resource_key
LIMIT :limit

-- name: search_by_commit_descending
SELECT {columns}
FROM resource AS r
WHERE :where
ORDER BY r.commit_seq:apart DESC, r.resource_key DESC
LIMIT :limit

-- name: search_by_range
SELECT {columns}, o.low
FROM resource AS r
INNER JOIN resource_range AS o ON o.resource_key = r.resource_key AND o.param = :sort AND o.is_first
WHERE :where
ORDER BY o.low, o.resource_key
LIMIT :limit

-- name: search_by_range_descending
SELECT {columns}, o.low
FROM resource AS r
INNER JOIN resource_range AS o ON o.resource_key = r.resource_key AND o.param = :sort AND o.is_first
WHERE :where
ORDER BY o.low DESC, o.resource_key DESC
LIMIT :limit

-- name: count_found
SELECT count(*) FROM resource AS r WHERE :where

-- name: keys_found
SELECT r.resource_key FROM resource AS r WHERE :where

-- name: references_found
SELECT r.kind || '/' || r.id FROM resource AS r WHERE :where

-- name: of_kind
r.kind = :kind AND r.body IS NOT NULL

-- name: of_patients
r.patients && :patients::uuid[] AND r.patients <@ :patients::uuid[]

-- name: in_commits
r.commit_seq BETWEEN :first::bigint AND :last::bigint

-- name: after_key
r.resource_key > :key::bigint

-- name: after_commit
(r.commit_seq, r.resource_key) > (:commit::bigint, :key::bigint)

-- name: before_commit
(r.commit_seq, r.resource_key) < (:commit::bigint, :key::bigint)

-- name: after_low
(o.low, o.resource_key) > (:low::numeric, :key::bigint)

-- name: before_low
(o.low, o.resource_key) < (:low::numeric, :key::bigint)

-- name: without_range
NOT EXISTS (
    SELECT FROM resource_range AS o
    WHERE o.resource_key = r.resource_key AND o.param = :sort AND o.is_first
)

-- name: has_id
r.id = ANY(:ids::text[])

-- name: has_no_id
r.id <> ALL(:ids::text[])

-- name: has_text
r.resource_key IN (SELECT t.resource_key FROM resource_text AS t WHERE t.param = :param AND (:any))

-- name: has_no_text
NOT EXISTS (
    SELECT FROM resource_text AS t
    WHERE t.resource_key = r.resource_key AND t.param = :param AND (:any)
)

-- name: has_other_text
EXISTS (
    SELECT FROM resource_text AS t
    WHERE t.resource_key = r.resource_key AND t.param = :param AND NOT (:any)
)

-- name: is_value
t.value = ANY(:values::text[])

-- name: is_value_of_system
(t.system = :system AND t.value = ANY(:values::text[]))

-- name: is_system
t.system = :system

-- name: begins
(t.value >= :first AND t.value < :last)

-- name: contains
strpos(t.value, :value) > 0

-- name: of_this_system
(:of AND t.system = :system)

-- name: has_range
r.resource_key IN (SELECT g.resource_key FROM resource_range AS g WHERE g.param = :param AND (:any))

-- name: range_eq
(g.unit = :unit AND g.low >= :low::numeric AND g.low <= :high::numeric AND g.high <= :high::numeric)

-- name: range_ne
(g.unit = :unit AND (g.low < :low::numeric OR g.high > :high::numeric))

-- name: range_lt
(g.unit = :unit AND g.low < :low::numeric)

-- name: range_gt
(g.unit = :unit AND g.high > :high::numeric)

-- name: range_le
(
    g.unit = :unit AND g.low <= :high::numeric
    AND (g.low < :low::numeric OR g.high <= :high::numeric)
)

-- name: range_ge
(
    g.unit = :unit AND g.high >= :low::numeric
    AND (g.high > :high::numeric OR g.low >= :low::numeric)
)

-- name: range_sa
(g.unit = :unit AND g.low >= :high::numeric)

-- name: range_eb
(g.unit = :unit AND g.high <= :low::numeric)

-- name: range_ap
(g.unit = :unit AND g.low < :high::numeric AND g.high > :low::numeric)

-- name: has_any
(
    EXISTS (
        SELECT FROM resource_text AS t
        WHERE t.resource_key = r.resource_key AND t.param = :param
    )
    OR EXISTS (
        SELECT FROM resource_range AS g
        WHERE g.resource_key = r.resource_key AND g.param = :param
    )
)

-- name: refers_to
r.resource_key IN (
    SELECT t.resource_key FROM resource_text AS t
    WHERE t.param = :param AND t.value IN (:found)
)

-- name: is_referred_to
r.kind || '/' || r.id IN (
    SELECT t.value FROM resource_text AS t
    WHERE t.param = :param AND t.resource_key IN (:found)
)

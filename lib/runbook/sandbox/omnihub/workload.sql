-- One transaction of the workload, as the steps of a single statement.
-- A step's line names it, says what it does to the rows of which table, and what else must be there.
-- {new} and {old} stand for the hash of the row as it is left and as it was found.

-- step: ordered adds public.orders needs public.workspace_members
INSERT INTO public.orders AS new (number, workspace_id, user_id, amount_cents, currency, lines, placed_at)
SELECT 'W-' || %(serial)s, workspace_id, user_id, 100 + %(serial)s * 37 %% 90000, 'USD',
       jsonb_build_array(jsonb_build_object('sku', 'SKU-' || %(serial)s %% 5000, 'note', md5(%(serial)s::text))),
       now()
FROM public.workspace_members
WHERE workspace_id = 1 + %(serial)s * 7919 %% %(workspaces)s
ORDER BY user_id LIMIT 1 OFFSET %(serial)s %% 20
RETURNING id, workspace_id, {new} AS after

-- step: counted changes public.workspaces needs public.orders public.workspace_members
UPDATE public.workspaces AS new SET order_count = new.order_count + 1, last_order_at = now()
FROM ordered, public.workspaces AS old
WHERE new.id = ordered.workspace_id AND old.id = new.id
RETURNING {old} AS before, {new} AS after

-- step: reported adds public.events needs public.orders public.workspace_members
INSERT INTO public.events AS new (order_id, kind, payload, at)
SELECT id, (ARRAY['created', 'viewed', 'confirmed', 'shipped'])[n],
       jsonb_build_object('trace', md5(%(serial)s || ' ' || n), 'took_ms', %(serial)s * n %% 1700), now()
FROM ordered CROSS JOIN generate_series(1, 4) AS n
RETURNING {new} AS after

-- step: paid changes public.orders
-- two of three, twenty serials later
UPDATE public.orders AS new SET status = 'paid', paid_at = now()
FROM public.orders AS old
WHERE old.id = new.id AND new.number = 'W-' || %(serial)s - 20 AND new.status = 'pending' AND %(serial)s %% 3 > 0
RETURNING {old} AS before, {new} AS after

-- step: forgotten removes public.events
DELETE FROM public.events AS old WHERE id = %(serial)s RETURNING {old} AS before

-- step: stored adds public.blobs needs public.workspaces
INSERT INTO public.blobs AS new
    (workspace_id, object_key, content_type, size_bytes, sha256, tags, meta, preview, created_at)
SELECT 1 + %(serial)s * 7919 %% %(workspaces)s, 'blobs/w/' || %(serial)s, 'image/png', length(preview),
       sha256(preview), ARRAY['workload'], jsonb_build_object('serial', %(serial)s), preview, now()
FROM (SELECT %(preview)s::bytea AS preview) AS given
WHERE preview IS NOT NULL
RETURNING {new} AS after

-- step: noted adds public.workload_serials
INSERT INTO public.workload_serials AS new VALUES (%(serial)s, now()) RETURNING {new} AS after

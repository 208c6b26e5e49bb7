-- Rows number %(first)s to %(last)s of each table, from nothing but their number and the seed.
-- Only functions whose results are the same in every version: hash partitions depend on hashint8extended.

-- table: public.users
INSERT INTO public.users
SELECT md5(%(seed)s || ' user ' || i)::uuid,
       'user' || i || '@' || substr(md5(%(seed)s || ' domain ' || i %% 97), 1, 8) || '.example',
       'User ' || i,
       (ARRAY['en', 'de', 'fr', 'ja', 'pt'])[1 + i %% 5],
       CASE WHEN i %% 50 = 0 THEN ARRAY['member', 'admin'] ELSE ARRAY['member'] END,
       jsonb_build_object('theme', (ARRAY['light', 'dark'])[1 + i %% 2], 'digest', i %% 3 = 0,
                          'token', md5(%(seed)s || ' token ' || i)),
       timestamptz '2024-01-01 00:00:00+00' + i %% 31536000 * interval '1 second',
       CASE WHEN i %% 40 = 0 THEN timestamptz '2025-12-01 00:00:00+00' END
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i;

-- table: public.workspace_members
INSERT INTO public.workspace_members
SELECT w, md5(%(seed)s || ' user ' || 1 + (w * 31 + slot) %% %(users)s::bigint)::uuid,
       CASE slot WHEN 0 THEN 'owner' ELSE 'editor' END,
       timestamptz '2024-06-01 00:00:00+00' + (w * 20 + slot) %% 15768000 * interval '1 second'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
CROSS JOIN LATERAL (SELECT 1 + (i - 1) / 20 AS w, (i - 1) %% 20 AS slot) AS place;

-- table: public.orders
INSERT INTO public.orders (id, number, workspace_id, user_id, status, amount_cents, currency, lines, placed_at, paid_at)
SELECT i, 'S-' || i, w, md5(%(seed)s || ' user ' || 1 + (w * 31 + slot) %% %(users)s::bigint)::uuid,
       (CASE WHEN paid THEN 'paid' WHEN h %% 7 = 0 THEN 'refunded' ELSE 'pending' END)::public.order_status,
       cents, (ARRAY['USD', 'EUR', 'JPY'])[1 + h %% 3],
       jsonb_build_array(jsonb_build_object('sku', 'SKU-' || h %% 5000, 'quantity', 1 + h %% 9, 'cents', cents),
                         jsonb_build_object('sku', 'SKU-' || h %% 777, 'quantity', 1, 'note', md5(h::text))),
       placed, CASE WHEN paid THEN placed + interval '7 minutes' END
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
CROSS JOIN LATERAL (SELECT hashint8extended(i, %(seed)s::bigint) & 9223372036854775807 AS h) AS hashed
CROSS JOIN LATERAL (
    SELECT 1 + h %% %(workspaces)s::bigint AS w, h / 65536 %% 20 AS slot, 100 + h / 1048576 %% 250000 AS cents,
           h %% 10 < 7 AS paid,
           timestamptz '2025-01-01 00:00:00+00'
               + i * 31536000000 / %(orders)s::bigint * interval '1 millisecond' AS placed) AS drawn;

-- table: public.workspaces
INSERT INTO public.workspaces (id, slug, owner_id, plan, settings, order_count, last_order_at, created_at)
SELECT i, 'workspace-' || i, md5(%(seed)s || ' user ' || 1 + i * 31 %% %(users)s::bigint)::uuid,
       (ARRAY['free', 'free', 'team', 'enterprise'])[1 + i %% 4],
       jsonb_build_object('region', (ARRAY['iad', 'fra', 'hnd'])[1 + i %% 3], 'limits',
                          jsonb_build_object('seats', 20 + i %% 80, 'storage_gb', 10 * (1 + i %% 5)),
                          'flags', jsonb_build_array('beta-' || i %% 11, 'labs-' || i %% 7)),
       coalesce(counted.orders, 0), counted.latest,
       timestamptz '2024-06-01 00:00:00+00' + i %% 15768000 * interval '1 second'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
LEFT JOIN (SELECT workspace_id, count(*) AS orders, max(placed_at) AS latest FROM public.orders GROUP BY 1) AS counted
       ON counted.workspace_id = i;

-- table: public.events
INSERT INTO public.events (id, order_id, kind, actor_id, payload, at)
SELECT i, 1 + (i - 1) / 3, (ARRAY['created', 'viewed', 'confirmed'])[1 + (i - 1) %% 3],
       CASE WHEN h %% 4 > 0 THEN md5(%(seed)s || ' user ' || 1 + h %% %(users)s::bigint)::uuid END,
       jsonb_build_object('ip', format('10.%%s.%%s.%%s', h %% 250, h / 256 %% 250, h / 65536 %% 250),
                          'trace', md5(h::text), 'took_ms', h %% 1700),
       timestamptz '2025-01-01 00:00:00+00' + i * 31536000000 / %(events)s::bigint * interval '1 millisecond'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
CROSS JOIN LATERAL (SELECT hashint8extended(i, %(seed)s::bigint + 1) & 9223372036854775807 AS h) AS hashed;

-- table: public.blobs
-- One in twenty has a preview of about 100 kB that does not compress: eight bytes of its own, then a slice of a pool.
WITH pool AS MATERIALIZED (
    SELECT string_agg(sha512(int8send(%(seed)s::bigint) || int8send(n)), ''::bytea ORDER BY n) AS bytes
    FROM generate_series(1, 16384::bigint) AS n)
INSERT INTO public.blobs
SELECT i, 1 + h %% %(workspaces)s::bigint, 'blobs/' || md5(%(seed)s || ' blob ' || i),
       (ARRAY['image/png', 'application/pdf', 'text/plain'])[1 + h %% 3], 1000 + h %% 5000000,
       sha256(int8send(h)),
       ARRAY['tag-' || h %% 23, 'year-' || 2020 + h %% 6],
       jsonb_build_object('width', h %% 4000, 'height', h %% 3000, 'origin', md5(h::text)),
       CASE WHEN i %% 20 = 0 THEN
           int8send(h) || substr((SELECT bytes FROM pool), 1 + (h / 1024 %% 900000)::int, 96000 + (h %% 8000)::int)
       END,
       timestamptz '2025-01-01 00:00:00+00' + i * 31536000000 / %(blobs)s::bigint * interval '1 millisecond'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
CROSS JOIN LATERAL (SELECT hashint8extended(i, %(seed)s::bigint + 2) & 9223372036854775807 AS h) AS hashed;

-- table: billing.invoices
INSERT INTO billing.invoices (id, workspace_id, number, total_cents, lines, issued_on)
SELECT i, 1 + h %% %(workspaces)s::bigint, 'INV-' || lpad(i::text, 9, '0'), 500 + h %% 900000,
       jsonb_build_array(jsonb_build_object('item', 'seats', 'count', 1 + h %% 50),
                         jsonb_build_object('item', 'storage', 'gigabytes', h %% 500, 'ref', md5(h::text))),
       date '2024-06-01' + (i %% 540)::int
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
CROSS JOIN LATERAL (SELECT hashint8extended(i, %(seed)s::bigint + 3) & 9223372036854775807 AS h) AS hashed;

-- table: public.emergency_controls
INSERT INTO public.emergency_controls
SELECT '00000000-0000-0000-0000-000000000001', false, false, false, '', timestamptz '2025-01-01 00:00:00+00'
FROM generate_series(%(first)s::bigint, %(last)s::bigint);

-- table: public.workload_serials
INSERT INTO public.workload_serials
SELECT 0, timestamptz '2026-01-01 00:00:00+00' FROM generate_series(%(first)s::bigint, %(last)s::bigint);

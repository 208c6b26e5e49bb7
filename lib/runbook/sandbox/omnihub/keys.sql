-- Keys, indexes, views and sequences; built after the rows because that is faster.
ALTER TABLE public.users ADD PRIMARY KEY (id);
CREATE UNIQUE INDEX users_email_living ON public.users (lower(email)) WHERE deleted_at IS NULL;
ALTER TABLE public.workspaces ADD PRIMARY KEY (id);
ALTER TABLE public.workspaces ADD UNIQUE (slug);
ALTER TABLE public.workspaces ADD CHECK (plan IN ('free', 'team', 'enterprise'));
ALTER TABLE public.workspaces ADD FOREIGN KEY (owner_id) REFERENCES public.users (id);
CREATE INDEX workspaces_settings ON public.workspaces USING gin (settings jsonb_path_ops);
ALTER TABLE public.workspace_members ADD PRIMARY KEY (workspace_id, user_id);
ALTER TABLE public.workspace_members ADD FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id);
ALTER TABLE public.workspace_members ADD FOREIGN KEY (user_id) REFERENCES public.users (id);
ALTER TABLE public.orders ADD PRIMARY KEY (id);
ALTER TABLE public.orders ADD UNIQUE (number);
ALTER TABLE public.orders ADD CHECK (amount_cents >= 0);
ALTER TABLE public.orders ADD FOREIGN KEY (workspace_id, user_id)
    REFERENCES public.workspace_members (workspace_id, user_id);
CREATE INDEX orders_pending ON public.orders (placed_at) WHERE status = 'pending';
CREATE INDEX orders_workspace ON public.orders (workspace_id);
ALTER TABLE public.events ADD PRIMARY KEY (id);
ALTER TABLE public.events ADD FOREIGN KEY (order_id) REFERENCES public.orders (id) ON DELETE CASCADE;
CREATE INDEX events_order ON public.events (order_id);
ALTER TABLE public.blobs ADD PRIMARY KEY (id);
ALTER TABLE public.blobs ADD UNIQUE (object_key);
ALTER TABLE public.blobs ADD FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id);
CREATE INDEX blobs_tags ON public.blobs USING gin (tags);
ALTER TABLE public.emergency_controls ADD PRIMARY KEY (id);
ALTER TABLE public.workload_serials ADD PRIMARY KEY (serial);
ALTER TABLE billing.invoices ADD PRIMARY KEY (id);
ALTER TABLE billing.invoices ADD UNIQUE (number);
ALTER TABLE billing.invoices ADD FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id);
CREATE MATERIALIZED VIEW public.daily_revenue AS
    SELECT date_trunc('day', placed_at AT TIME ZONE 'UTC')::date AS day, count(*) AS orders, sum(amount) AS revenue
    FROM public.orders WHERE status = 'paid' GROUP BY 1;
CREATE UNIQUE INDEX daily_revenue_day ON public.daily_revenue (day);
SELECT setval('public.workspaces_id_seq', (SELECT max(id) FROM public.workspaces));
SELECT setval('public.orders_id_seq', (SELECT max(id) FROM public.orders));
SELECT setval('public.events_id_seq', (SELECT max(id) FROM public.events));
SELECT setval('public.blobs_id_seq', (SELECT max(id) FROM public.blobs));
SELECT setval('billing.invoices_id_seq', (SELECT max(id) FROM billing.invoices));

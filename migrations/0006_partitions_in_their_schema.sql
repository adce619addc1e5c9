-- By hand. The search path may lead to the partitions of another Tollgate, in another schema: with that one's in the way this one
-- made none, and its events were refused.
CREATE OR REPLACE FUNCTION "ensure_usage_events_partition"("at" timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	"month" timestamp := date_trunc('month', "at" AT TIME ZONE 'UTC');
	"schema" text := (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'usage_events'::regclass);
	"partition" text := "schema" || '.usage_events_' || to_char("month", 'YYYY_MM');
BEGIN
	IF to_regclass("partition") IS NOT NULL THEN RETURN; END IF;
	PERFORM pg_advisory_xact_lock(hashtext('ensure_usage_events_partition'));
	EXECUTE format('CREATE TABLE IF NOT EXISTS %s (LIKE usage_events INCLUDING ALL)', "partition");
	IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass("partition")) THEN RETURN; END IF;
	EXECUTE format(
		'ALTER TABLE usage_events ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
		"partition", "month" AT TIME ZONE 'UTC', ("month" + interval '1 month') AT TIME ZONE 'UTC'
	);
END
$$;

CREATE OR REPLACE FUNCTION "ensure_usage_events_partition"("at" timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	"month" timestamp := date_trunc('month', "at" AT TIME ZONE 'UTC');
	"partition" text := 'usage_events_' || to_char("month", 'YYYY_MM');
BEGIN
	IF to_regclass("partition") IS NOT NULL THEN RETURN; END IF;
	PERFORM pg_advisory_xact_lock(hashtext('ensure_usage_events_partition'));
	EXECUTE format(
		'CREATE TABLE IF NOT EXISTS %I PARTITION OF usage_events FOR VALUES FROM (%L) TO (%L)',
		"partition", "month" AT TIME ZONE 'UTC', ("month" + interval '1 month') AT TIME ZONE 'UTC'
	);
END
$$;

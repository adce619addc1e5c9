DROP TABLE "usage_events";--> statement-breakpoint
DROP TABLE "default_caps";--> statement-breakpoint
DROP TABLE "caps";--> statement-breakpoint
DROP TABLE "api_keys";--> statement-breakpoint
DROP TABLE "users";--> statement-breakpoint
DROP FUNCTION "bump_user_version"(uuid);--> statement-breakpoint
DROP FUNCTION "ensure_usage_events_partition"(timestamptz);

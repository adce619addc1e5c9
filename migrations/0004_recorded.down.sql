DROP INDEX "usage_events_metadata";--> statement-breakpoint
DROP INDEX "usage_events_recorded";--> statement-breakpoint
ALTER TABLE "usage_events" DROP COLUMN "brings_own_key";--> statement-breakpoint
ALTER TABLE "usage_events" DROP COLUMN "recorded_at";

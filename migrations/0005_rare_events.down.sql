DROP INDEX "usage_events_held";--> statement-breakpoint
DROP INDEX "usage_events_unpriced";

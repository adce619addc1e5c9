DROP INDEX "usage_events_overrun";--> statement-breakpoint
DROP INDEX "usage_events_error";--> statement-breakpoint
DROP INDEX "usage_events_session";--> statement-breakpoint
DROP INDEX "usage_events_batch";--> statement-breakpoint
DROP INDEX "usage_events_job";

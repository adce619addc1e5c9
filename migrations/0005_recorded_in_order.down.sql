DROP INDEX "usage_events_recorded";--> statement-breakpoint
CREATE INDEX "usage_events_recorded" ON "usage_events" USING brin ("recorded_at");

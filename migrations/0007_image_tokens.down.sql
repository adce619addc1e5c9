ALTER TABLE "usage_events" DROP COLUMN "image_input_tokens";--> statement-breakpoint
ALTER TABLE "usage_events" DROP COLUMN "image_output_tokens";

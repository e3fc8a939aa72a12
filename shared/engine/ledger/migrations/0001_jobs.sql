CREATE TABLE "job_inputs" (
	"job_id" text PRIMARY KEY NOT NULL,
	"user_id" text NOT NULL,
	"input" text NOT NULL
);
--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "priority" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "priority_class" integer DEFAULT 5 NOT NULL;--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "timeout_ms" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "webhook_url" text DEFAULT '' NOT NULL;
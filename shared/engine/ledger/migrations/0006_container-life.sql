CREATE TABLE "user_limits" (
	"user_id" text PRIMARY KEY NOT NULL,
	"limits" json NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	"updated_by" text NOT NULL
);
--> statement-breakpoint
ALTER TABLE "containers" ADD COLUMN "labels" json;--> statement-breakpoint
ALTER TABLE "containers" ADD COLUMN "warm" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "containers" ADD COLUMN "used_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "containers" ADD COLUMN "paused_by" text;--> statement-breakpoint
ALTER TABLE "containers" ADD COLUMN "exit" json;--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "labels" json;
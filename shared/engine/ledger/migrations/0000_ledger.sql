CREATE TABLE "container_changes" (
	"container_id" text NOT NULL,
	"seq" text NOT NULL,
	"user_id" text NOT NULL,
	"state" text NOT NULL,
	"host" text NOT NULL,
	"fence" integer NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "container_changes_container_id_seq_pk" PRIMARY KEY("container_id","seq")
);
--> statement-breakpoint
CREATE TABLE "containers" (
	"id" text PRIMARY KEY NOT NULL,
	"user_id" text NOT NULL,
	"name" text NOT NULL,
	"state" text NOT NULL,
	"image" text NOT NULL,
	"width" integer NOT NULL,
	"height" integer NOT NULL,
	"spec" json NOT NULL,
	"job_id" text NOT NULL,
	"host" text NOT NULL,
	"boot" text NOT NULL,
	"fence" integer NOT NULL,
	"error" json,
	"created_at" timestamp (3) with time zone NOT NULL,
	"started_at" timestamp (3) with time zone,
	"expires_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "heartbeat" (
	"id" integer PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"user_id" text NOT NULL,
	"key_hash" text NOT NULL,
	"request_hash" text NOT NULL,
	"job_id" text NOT NULL,
	"container_id" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "idempotency_keys_user_id_key_hash_pk" PRIMARY KEY("user_id","key_hash")
);
--> statement-breakpoint
CREATE TABLE "job_changes" (
	"job_id" text NOT NULL,
	"run" integer NOT NULL,
	"seq" text NOT NULL,
	"user_id" text NOT NULL,
	"state" text NOT NULL,
	"fence" integer NOT NULL,
	"attempts_made" integer NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "job_changes_job_id_run_seq_pk" PRIMARY KEY("job_id","run","seq")
);
--> statement-breakpoint
CREATE TABLE "jobs" (
	"id" text PRIMARY KEY NOT NULL,
	"user_id" text NOT NULL,
	"kind" text NOT NULL,
	"state" text NOT NULL,
	"run" integer NOT NULL,
	"fence" integer NOT NULL,
	"attempts_made" integer NOT NULL,
	"queue" text NOT NULL,
	"container_id" text NOT NULL,
	"request_id" text NOT NULL,
	"result" json,
	"error" json,
	"created_at" timestamp (3) with time zone NOT NULL,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "usage_days" (
	"user_id" text NOT NULL,
	"day" date NOT NULL,
	"jobs" integer NOT NULL,
	"queue_seconds" double precision NOT NULL,
	"run_seconds" double precision NOT NULL,
	"desktop_seconds" double precision NOT NULL,
	"input_tokens" bigint NOT NULL,
	"output_tokens" bigint NOT NULL,
	CONSTRAINT "usage_days_user_id_day_pk" PRIMARY KEY("user_id","day")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "container_changes_one_end" ON "container_changes" USING btree ("container_id") WHERE "container_changes"."state" in ('stopped', 'failed', 'lost');--> statement-breakpoint
CREATE INDEX "containers_by_user" ON "containers" USING btree ("user_id","created_at","id");--> statement-breakpoint
CREATE INDEX "containers_by_user_state" ON "containers" USING btree ("user_id","state","created_at","id");--> statement-breakpoint
CREATE INDEX "containers_open" ON "containers" USING btree ("created_at","id") WHERE "containers"."ended_at" is null;--> statement-breakpoint
CREATE INDEX "containers_ended" ON "containers" USING btree ("ended_at") WHERE "containers"."ended_at" is not null;--> statement-breakpoint
CREATE INDEX "idempotency_keys_by_time" ON "idempotency_keys" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "idempotency_keys_by_job" ON "idempotency_keys" USING btree ("job_id");--> statement-breakpoint
CREATE UNIQUE INDEX "job_changes_one_end" ON "job_changes" USING btree ("job_id","run") WHERE "job_changes"."state" in ('completed', 'failed', 'cancelled', 'timed_out');--> statement-breakpoint
CREATE INDEX "jobs_by_user" ON "jobs" USING btree ("user_id","created_at","id");--> statement-breakpoint
CREATE INDEX "jobs_by_user_state" ON "jobs" USING btree ("user_id","state","created_at","id");--> statement-breakpoint
CREATE INDEX "jobs_by_user_kind" ON "jobs" USING btree ("user_id","kind","created_at","id");--> statement-breakpoint
CREATE INDEX "jobs_open" ON "jobs" USING btree ("created_at","id") WHERE "jobs"."finished_at" is null;--> statement-breakpoint
CREATE INDEX "jobs_finished" ON "jobs" USING btree ("finished_at") WHERE "jobs"."finished_at" is not null;
CREATE TABLE "volumes" (
	"id" text PRIMARY KEY NOT NULL,
	"user_id" text NOT NULL,
	"container_id" text NOT NULL,
	"host" text NOT NULL,
	"kind" text NOT NULL,
	"state" text NOT NULL,
	"size_bytes" bigint NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"removed_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE INDEX "volumes_present_by_host" ON "volumes" USING btree ("host") WHERE "volumes"."removed_at" is null;--> statement-breakpoint
CREATE INDEX "volumes_removed" ON "volumes" USING btree ("removed_at") WHERE "volumes"."removed_at" is not null;
ALTER TABLE "containers" ADD COLUMN "instance_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX "containers_by_instance" ON "containers" USING btree ("instance_id");
import { z } from 'zod';
import { Limits, UserLimits } from './limits.ts';
import { Capacity, ResourceVector } from './resources.ts';

/** The role of a token that may use the routes below `/admin`. */
export const ADMIN_ROLE = 'admin';

/** `draining`: it takes no new containers. `silent`: its lease has expired; its containers are lost after a while. */
export const HOST_STATES = ['live', 'draining', 'silent'] as const;
export type HostState = (typeof HOST_STATES)[number];

/** The most hosts of an answer. */
export const MAX_LISTED_HOSTS = 1000;

/** A host as admins see it. Times are ISO 8601 in UTC. */
export const FleetHost = z
  .object({
    id: z.string().describe('Its name, `WORKER_HOST` of its worker.'),
    state: z
      .enum(HOST_STATES)
      .describe('`silent` has lost its lease, whether it drains or not; `draining` takes no new containers.'),
    seenAt: z.iso.datetime().optional().describe('When it renewed its lease last, in UTC.'),
    drainingSince: z.iso.datetime().optional().describe('When its drain was requested, in UTC.'),
    machine: z.string().optional().describe('Hosts of one machine share its resources.'),
    capacity: Capacity.describe('The resources that it offers; one that is left out is not bounded.'),
    used: ResourceVector.describe('The resources that its instances reserve.'),
    machineUsed: ResourceVector.describe('The same of all hosts of its machine.'),
    containers: z.number().int().describe('Its instances that belong to a container.'),
    pooled: z.number().int().describe('Its instances that wait for a start: the warm pool.'),
    gpuIds: z.array(z.string()).describe('The GPU devices that it offers.'),
    images: z
      .array(z.string())
      .optional()
      .describe('The images that its engine has, where it publishes them.'),
    versions: z
      .object({
        worker: z.string().describe('Of its worker.'),
        engine: z.string().describe('Of its engine.'),
      })
      .optional()
      .describe('The releases of its worker and its engine, where it publishes them.'),
  })
  .meta({ id: 'FleetHost' });
export type FleetHost = z.infer<typeof FleetHost>;

/** The answer of `GET /admin/hosts`. */
export const FleetHosts = z
  .object({ items: z.array(FleetHost).max(MAX_LISTED_HOSTS).describe('By name.') })
  .meta({ id: 'FleetHosts' });
export type FleetHosts = z.infer<typeof FleetHosts>;

/** The answer of `GET` and `PUT /admin/users/:id/limits`. */
export const UserLimitsRecord = z
  .object({
    userId: z.string().describe('The user.'),
    limits: UserLimits.describe('The limits that differ from those of the deployment; empty for none.'),
    updatedAt: z.iso.datetime().optional().describe('When they were set or removed last, in UTC.'),
    updatedBy: z.string().optional().describe('The administrator that did.'),
    effective: Limits.describe('All limits as they hold now, and what is left of them.'),
  })
  .meta({ id: 'UserLimitsRecord' });
export type UserLimitsRecord = z.infer<typeof UserLimitsRecord>;

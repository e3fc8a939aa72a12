import type { OpenAPIHono } from '@hono/zod-openapi';
import type { User } from './auth/token.ts';
import type { Decision } from './limits/decision.ts';

/** What the handlers of one request hand on to each other. */
export type AppEnv = {
  Variables: {
    requestId: string;
    /** Who asks; set on every route behind `authenticate`. */
    user: User;
    /** The limiter's decision on this request, once it is known. */
    decision: Decision | undefined;
    /** Redis was asked to charge this request, whatever came of it: it is not charged again. */
    charged: boolean;
    /** Charges this request if it has not been, before the script that would: for one that takes its time. */
    chargeNow: (() => Promise<void>) | undefined;
    /** The job this request submitted, for the log. */
    jobId: string | undefined;
  };
};

export type App = OpenAPIHono<AppEnv>;

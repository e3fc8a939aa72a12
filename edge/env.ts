import type { OpenAPIHono } from '@hono/zod-openapi';
import type { User } from './auth/token.ts';
import type { Decision } from './limits/decision.ts';

/** The variables that the handlers of one request share. */
export type AppEnv = {
  Variables: {
    requestId: string;
    /** The authenticated user; set on every route behind `authenticate`. */
    user: User;
    /** The limiter's decision on this request, once it is known. */
    decision: Decision | undefined;
    /** Redis was asked to charge this request, with whatever outcome: it is not charged again. */
    charged: boolean;
    /**
     * Charges this request unless it has been charged; for a slow request, before the script that would
     * charge it.
     */
    chargeNow: (() => Promise<void>) | undefined;
    /** The id of the job that this request submitted, for the log. */
    jobId: string | undefined;
  };
};

export type App = OpenAPIHono<AppEnv>;

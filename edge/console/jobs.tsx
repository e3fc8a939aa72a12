import { isTerminal, type Job } from '@warmwind/shared/contract/jobs';
import { findJobCommand } from '@warmwind/shared/contract/registry';
import { useState } from 'preact/hooks';
import { useAction } from './action.ts';
import { ago, Empty, JobProgress, LabelList, State, useNotice } from './parts.tsx';
import { ProgramView } from './program-view.tsx';
import { NotLoaded } from './retrying.tsx';
import type { Store } from './store.ts';

/** The newest jobs, live: their progress, why they failed, and the actions on them. */
export function Jobs({ store }: { store: Store }) {
  const jobs = [...store.jobs.value.values()];
  return (
    <section class="jobs">
      <h2>Jobs</h2>
      <NotLoaded what="Your jobs" refresher={store.jobList} />
      {jobs.length === 0 && store.jobList.loaded.value && <Empty>Your jobs appear here.</Empty>}
      {jobs.length > 0 && (
        <table>
          <tbody>
            {jobs.map((job) => (
              <Row key={job.id} store={store} job={job} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Row({ store, job }: { store: Store; job: Job }) {
  const { id, kind, state, run, error, createdAt, labels } = job;
  const [notice, notify] = useNotice(state, run);
  const [pending, act] = useAction(notify);
  const [shown, setShown] = useState(false);
  const cancel = () => act(() => store.api.edge.cancelJob(id));
  const retry = () => act(() => store.api.retryJob(id));
  return (
    <tr>
      <td title={id}>
        {kind}
        {run > 1 && <small> run {run}</small>}
        <LabelList labels={labels} />
      </td>
      <td>
        <State state={state} />
      </td>
      <td class="wide">
        {isTerminal(state) ? (
          error && <span class="wrong">{error.message}</span>
        ) : (
          <JobProgress job={job} message={store.messages.value.get(id)} />
        )}
        {notice}
        {shown && <ProgramView store={store} jobId={id} />}
      </td>
      <td>{ago(createdAt)}</td>
      <td>
        {kind === 'container.exec' && (
          <button type="button" aria-expanded={shown} onClick={() => setShown(!shown)}>
            {shown ? 'Hide' : 'Output'}
          </button>
        )}
        {!isTerminal(state) && findJobCommand(kind)?.cancellable && (
          <button type="button" disabled={pending} onClick={cancel}>
            Cancel
          </button>
        )}
        {isTerminal(state) && state !== 'completed' && (
          <button type="button" disabled={pending} onClick={retry}>
            Retry
          </button>
        )}
      </td>
    </tr>
  );
}

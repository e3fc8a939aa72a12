import type { ContainerExit } from '@warmwind/shared/contract/containers';

/** Shows how the programs of a failed desktop ended, and the end of what they printed. */
export function Exit({ exit }: { exit: ContainerExit }) {
  const { exitCode, oomKilled, output } = exit;
  const code = exitCode === undefined ? 'It did not end' : `Exit code ${exitCode}`;
  const title = oomKilled ? `${code}, its memory was used up` : code;
  if (!output) return <p class="small">{title}</p>;
  return (
    <details class="exit">
      <summary>{title}: last output</summary>
      <pre>{output}</pre>
    </details>
  );
}

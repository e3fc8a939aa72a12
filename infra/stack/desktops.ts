import Docker from 'dockerode';

/**
 * Removes every container and volume that carries this fleet's label, whatever its state. Answers how many desktops there
 * were; what is already gone is no error.
 */
export async function removeDesktops(socketPath: string, fleet: string): Promise<number> {
  const docker = new Docker({ socketPath, timeout: 20_000 });
  const filters = { label: [`warmwind.fleet=${fleet}`] };
  const containers = await docker.listContainers({ all: true, filters });
  await Promise.all(
    containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true }).catch(ignoreGone)),
  );
  const { Volumes } = await docker.listVolumes({ filters });
  await Promise.all(
    (Volumes ?? []).map(({ Name }) => docker.getVolume(Name).remove({ force: true }).catch(ignoreGone)),
  );
  return containers.length;
}

/** 404: gone. 409: somebody else is removing it right now. */
function ignoreGone(error: { statusCode?: number }): void {
  if (error.statusCode !== 404 && error.statusCode !== 409) throw error;
}

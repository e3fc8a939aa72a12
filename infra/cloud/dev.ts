/** `sst dev`: no cloud, the whole system on this machine's loopback. */
export const stack = new sst.x.DevCommand('Stack', { dev: { command: 'npm start', autostart: true } });

/** `sst dev`: no cloud, the complete system on this machine's loopback. */
export const stack = new sst.x.DevCommand('Stack', { dev: { command: 'npm start', autostart: true } });

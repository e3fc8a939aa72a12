type Fields = Record<string, string | number | boolean | undefined>;

function write(level: 'info' | 'warn' | 'error', message: string, fields: Fields): void {
  console.log(
    JSON.stringify({ level, time: new Date().toISOString(), service: 'edge', ...fields, msg: message }),
  );
}

/** Logs JSON lines. Fields are flat and named one by one, so that no object brings a secret along. */
export const log = {
  info: (message: string, fields: Fields = {}) => write('info', message, fields),
  warn: (message: string, fields: Fields = {}) => write('warn', message, fields),
  error: (message: string, fields: Fields = {}) => write('error', message, fields),
};

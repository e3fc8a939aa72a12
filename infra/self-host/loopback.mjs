// Preloaded into a test's client (`node --import`): every name below warmwind.test resolves to this machine.
import dns from 'node:dns';

const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(/\.warmwind\.test$/.test(name) ? '127.0.0.1' : name, ...rest);

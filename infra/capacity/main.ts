import { calibrate } from './calibrate.ts';

const began = performance.now();
console.log(await calibrate(), (performance.now() - began) / 1000);
process.exit(0);

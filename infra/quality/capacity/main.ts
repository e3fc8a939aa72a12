import { parseArgs } from 'node:util';
import { releaseEngine } from '../../local/engine/engine.ts';
import { calibrate } from './calibrate.ts';
import { check, errorOf, SIZES } from './check.ts';
import { measureScreen } from './screens.ts';
import { number, table, tables } from './table.ts';
import { units } from './units.ts';

/**
 * `npm run capacity`: measures unit costs, predicts two other sizes from them, and measures those too.
 * `--screens` measures desktops instead; `--table` prints the page's tables.
 */
const { values: asked } = parseArgs({
  options: { table: { type: 'boolean' }, screens: { type: 'boolean' } },
});

/** The greatest relative error of a prediction. */
const MOST = 0.15;

if (asked.table) console.log(`${units()}\n\n${tables()}`);
else if (asked.screens) await measureScreens().finally(() => releaseEngine(process.pid));
else process.exitCode = (await simulate()) ? 0 : 1;
// Open connections to an engine would keep the process alive.
process.exit();

async function measureScreens(): Promise<void> {
  const screens = {
    rest: await measureScreen(undefined),
    text: await measureScreen('text'),
    animation: await measureScreen('animation'),
  };
  console.log(`For figures.ts:\n\nexport const screens = ${literal(screens)};`);
}

/** @returns whether every prediction is within `MOST` */
async function simulate(): Promise<boolean> {
  const calibration = await calibrate();
  console.log(`For figures.ts:\n\nexport const measured: Calibration = ${literal(calibration)};`);
  let met = true;
  for (const size of SIZES) {
    const outcomes = await check(size, calibration);
    const rows = outcomes.map((outcome) => {
      const { name, unit, predicted, measured } = outcome;
      return [`${name}, ${unit}`, number(predicted), number(measured), percent(errorOf(outcome))];
    });
    console.log(`\n${table([size.name, 'predicted', 'measured', 'error'], rows)}`);
    met &&= outcomes.every((outcome) => Math.abs(errorOf(outcome)) <= MOST);
  }
  console.log(`\n${met ? 'met' : 'MISSED'}: within ${percent(MOST)}`);
  return met;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function literal(value: object): string {
  const rounded = (_key: string, of: unknown) => (typeof of === 'number' ? Number(of.toPrecision(3)) : of);
  return JSON.stringify(value, rounded, 2).replaceAll('"', '');
}

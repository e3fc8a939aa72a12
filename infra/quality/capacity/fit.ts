/**
 * Fits non-negative costs so that `rows × costs` has the least relative error against `measured`. A term that
 * cannot be distinguished from the others, or would be negative, costs 0.
 */
export function fit(rows: number[][], measured: number[]): number[] {
  const width = rows[0]?.length ?? 0;
  // Terms differ by a factor of millions: each column is scaled to at most 1 first.
  const scale = Array.from({ length: width }, (_, i) => Math.max(...rows.map((row) => row[i] ?? 0)) || 1);
  const relative = rows.map((row, n) =>
    row.map((value, i) => value / (scale[i] ?? 1) / (measured[n] ?? Number.NaN)),
  );
  let kept = [...scale.keys()];
  for (;;) {
    const costs = leastSquares(relative.map((row) => kept.map((i) => row[i] ?? 0)));
    const lowest = Math.min(0, ...costs);
    if (lowest === 0) {
      const all = new Array<number>(width).fill(0);
      for (const [n, i] of kept.entries()) all[i] = (costs[n] ?? 0) / (scale[i] ?? 1);
      return all;
    }
    kept = kept.filter((_, n) => costs[n] !== lowest);
  }
}

/** Solves the normal equations, so that each row comes closest to 1, by Gauss-Jordan elimination. */
function leastSquares(rows: number[][]): number[] {
  const width = rows[0]?.length ?? 0;
  const product = (i: number, j: number) => rows.reduce((sum, row) => sum + (row[i] ?? 0) * (row[j] ?? 0), 0);
  const equations = Array.from({ length: width }, (_, i) => [
    ...Array.from({ length: width }, (_, j) => product(i, j)),
    rows.reduce((sum, row) => sum + (row[i] ?? 0), 0),
  ]);
  for (const [i, pivot] of equations.entries()) {
    const head = pivot[i] ?? 0;
    if (Math.abs(head) < 1e-12) pivot.fill(0);
    else for (const [j, value] of pivot.entries()) pivot[j] = value / head;
    for (const other of equations) {
      const factor = other[i] ?? 0;
      if (other === pivot || factor === 0) continue;
      for (const [j, value] of pivot.entries()) other[j] = (other[j] ?? 0) - factor * value;
    }
  }
  return equations.map((equation) => equation[width] ?? 0);
}

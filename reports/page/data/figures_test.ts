import assert from "node:assert/strict";
import { test } from "node:test";
import {
  errorRatio,
  fixed,
  grouped,
  instant,
  milliseconds,
  percent,
  shortCommit,
  significant,
  times,
} from "./figures.ts";

// A fixed sequence over many magnitudes: the same in every run.
function* magnitudes(): Generator<number> {
  let state = 12345;
  for (let i = 0; i < 4000; ++i) {
    state = (state * 1103515245 + 12345) % 2147483648;
    yield (state / 2147483648 - 0.5) * 10 ** ((i % 24) - 12);
  }
}

test("what is shown is the value, rounded at its last digit", () => {
  for (const value of magnitudes()) {
    const shown = Number(significant(value));
    assert.ok(Math.abs(shown - value) <= Math.abs(value) * 5.1e-3, `${value} is shown as ${shown}`);
  }
});

test("a percentage is never shown larger than it is", () => {
  for (const value of magnitudes()) {
    const bounded = 100 - Math.abs(value % 1);
    const shown = Number(percent(bounded));
    assert.ok(shown <= bounded && bounded - shown < 1.001e-4, `${bounded} is shown as ${shown}`);
  }
  assert.equal(percent(99.89999), "99.8999");
  assert.equal(percent(99.9), "99.9000");
  assert.equal(percent(-1e6), "-1000000.0000");
});

test("what is no number is a dash, never 0", () => {
  for (const format of [significant, percent, milliseconds, times, grouped]) {
    for (const value of [null, undefined, NaN, Infinity]) {
      assert.equal(format(value), "–");
    }
  }
  assert.equal(fixed(null, 2), "–");
  assert.equal(errorRatio(null), "∞");
  assert.equal(errorRatio(undefined), "–");
});

test("examples", () => {
  assert.equal(significant(0.9476), "0.948");
  assert.equal(significant(0), "0");
  assert.equal(significant(178), "178");
  assert.equal(significant(2070.4), "2070");
  assert.equal(significant(6.7e-8), "6.70e-8");
  assert.equal(milliseconds(0.0234), "23.40");
  assert.equal(milliseconds(1.5), "1500");
  assert.equal(milliseconds(0.00000358), "0.0036");
  assert.equal(times(2.82), "2.82×");
  assert.equal(grouped(1640000), "1\u202f640\u202f000");
  assert.equal(instant("2026-11-26T05:51:27Z"), "2026-11-26 05:51 UTC");
  assert.equal(instant("yesterday"), "yesterday");
  const hash = "0123456789abcdef0123456789abcdef01234567";
  assert.equal(shortCommit(`${hash}-dirty`), "0123456789ab-dirty");
  assert.equal(shortCommit(`v1.0-3-g${hash}`), "v1.0-3-g0123456789ab");
  assert.equal(shortCommit("unknown"), "unknown");
});

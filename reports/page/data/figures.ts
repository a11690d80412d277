// How numbers are written: formatting and nothing else. What cannot be a number is a dash.

const nothing = "–";

function isNumber(value: number | null | undefined): value is number {
  return value !== null && value !== undefined && Number.isFinite(value);
}

/** `digits` significant digits: 0.000123 and 123000, in powers of ten beyond 1e-4..1e6. */
export function significant(value: number | null | undefined, digits = 3): string {
  if (!isNumber(value)) {
    return nothing;
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) {
    return value.toExponential(digits - 1);
  }
  const places = size === 0 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return value.toFixed(Math.min(places, 8));
}

/** Error over bound, whose null in run.json stands for what is not finite. */
export function errorRatio(value: number | null | undefined): string {
  return value === null ? "∞" : significant(value);
}

/** With that many decimals. */
export function fixed(value: number | null | undefined, decimals: number): string {
  return isNumber(value) ? value.toFixed(decimals) : nothing;
}

/** Cut, not rounded, to four decimals, so that 99.89999 never reads 99.9. */
export function percent(value: number | null | undefined): string {
  return isNumber(value) ? (Math.floor(value * 1e4) / 1e4).toFixed(4) : nothing;
}

/** Milliseconds of seconds: "12.34", from a thousand on "1234". */
export function milliseconds(seconds: number | null | undefined): string {
  if (!isNumber(seconds)) {
    return nothing;
  }
  const value = seconds * 1e3;
  return value.toFixed(value >= 1000 ? 0 : value >= 0.1 || value === 0 ? 2 : 4);
}

/** "1.85×" */
export function times(value: number | null | undefined): string {
  return isNumber(value) ? `${value.toFixed(value >= 100 ? 0 : 2)}×` : nothing;
}

/** Digits in groups of three: "1 640 000", with spaces that do not break. */
export function grouped(value: number | null | undefined): string {
  return isNumber(value) ? String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f") : nothing;
}

/** "2026-11-26 05:51 UTC" of an ISO 8601 time; what is none stays as it is. */
export function instant(text: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})/.exec(text);
  return match ? `${match[1]} ${match[2]} UTC` : text;
}

/** A commit with 12 digits of its hash, and still whether its tree was changed. */
export function shortCommit(commit: string): string {
  return commit.replace(/([0-9a-f]{12})[0-9a-f]{28}/, "$1");
}

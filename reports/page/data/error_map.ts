// The letters of an error map: harness/error_map.hpp writes them, one for each 64x64 tile.
//
//   .      no error
//   a..z   octave of the tile's largest |error| / bound: a up to 2^-8, i ends at the bound, z beyond 2^16
//   !      an element, or its error over its bound, that is not finite

const first = "a".charCodeAt(0);
const octaveOfA = -9;

/** The octave of a letter, log2 of its lower end: -9 for all below; null: no error; Infinity: not finite. */
export function octave(letter: string): number | null {
  if (letter === "!") {
    return Infinity;
  }
  const index = letter.charCodeAt(0) - first;
  return letter === "." || index < 0 || index > 25 ? null : octaveOfA + index;
}

function bound(exponent: number): string {
  return exponent < 0 ? `1/${2 ** -exponent}` : String(2 ** exponent);
}

/** What a tile's letter says, in words. */
export function meaning(letter: string): string {
  const exponent = octave(letter);
  if (exponent === null) {
    return "no error";
  }
  if (exponent === Infinity) {
    return "not finite";
  }
  if (exponent === octaveOfA) {
    return `error up to ${bound(exponent + 1)} of its bound`;
  }
  return exponent === octaveOfA + 25
    ? `error more than ${bound(exponent)} times its bound`
    : `error ${bound(exponent)} to ${bound(exponent + 1)} times its bound`;
}

/** Whether an element of the tile is beyond its bound. */
export function isBeyond(letter: string): boolean {
  return (octave(letter) ?? -Infinity) >= 0;
}

// Where a failed row errs: one map per head, a cell per 64x64 tile.
import type { JSX } from "preact";
import type { HeadErrorMap, OpRow } from "../data/run.ts";
import { isBeyond, meaning, octave } from "../data/error_map.ts";
import { errorRatio } from "../data/figures.ts";

const extent = 300; // px of the longer side of a map, at most
const largestCell = 18;

function heat(letter: string): string {
  const exponent = octave(letter);
  if (exponent === null) {
    return "heat-none";
  }
  return exponent < -4 ? "heat-0" : exponent < 0 ? "heat-1" : exponent < 3 ? "heat-2" : "heat-3";
}

export function ErrorMaps({ row, index }: { row: OpRow; index: number }): JSX.Element {
  const maps = row.error_maps ?? [];
  const beyond = row.statistics?.damage?.heads.length ?? 0;
  return (
    <section class="error-maps" aria-label={`Error maps of row ${index}`}>
      <h4>Error of the worst heads, tile by tile</h4>
      <div class="map-list">
        {maps.map((map) => (
          <HeadMap key={map.head} map={map} />
        ))}
      </div>
      <p class="heat-legend">
        <Key name="heat-none" text="no error" />
        <Key name="heat-0" text="below 1/16 of the bound" />
        <Key name="heat-1" text="up to the bound" />
        <Key name="heat-2" text="beyond it, less than 8 times" />
        <Key name="heat-3" text="8 times and more, or not finite" />
      </p>
      {beyond > maps.length && (
        <p class="muted">
          {maps.length} of {beyond} heads that err; all of them by `harness explain`.
        </p>
      )}
    </section>
  );
}

function Key({ name, text }: { name: string; text: string }): JSX.Element {
  return (
    <span class="key">
      <svg width="12" height="12" aria-hidden="true">
        <rect class={`tile ${name}`} x="1" y="1" width="10" height="10" />
      </svg>
      {text}
    </span>
  );
}

function HeadMap({ map }: { map: HeadErrorMap }): JSX.Element {
  const rows = map.tiles.length;
  const columns = map.tiles[0]?.length ?? 0;
  const cell = Math.min(largestCell, extent / Math.max(rows, columns, 1));
  const width = columns === 1 ? cell * 4 : cell;
  const beyond = map.tiles.join("").split("").filter(isBeyond).length;
  const title = map.head < 0 ? "all channels" : `head ${map.head}`;
  return (
    <figure class="map">
      <figcaption>
        {title}: rho {errorRatio(map.rho)}, {beyond} of {rows * columns} tiles beyond their bound
      </figcaption>
      <svg
        role="img"
        aria-label={`${title}: ${beyond} of ${rows * columns} tiles beyond their bound`}
        width={columns * width + 2}
        height={rows * cell + 2}
      >
        {map.tiles.map((line, y) =>
          [...line].map((letter, x) => (
            <rect
              key={`${y},${x}`}
              class={`tile ${heat(letter)}`}
              x={1 + x * width}
              y={1 + y * cell}
              width={width}
              height={cell}
            >
              <title>
                tile ({y}, {x}): {meaning(letter)}
              </title>
            </rect>
          )),
        )}
      </svg>
    </figure>
  );
}

// Where a failed row errs: one map per head, a cell per 64x64 tile.
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
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
  const maps = row.error_maps;
  const damage = row.statistics?.damage?.heads.length ?? 0;
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
      {damage > maps.length && (
        <p class="muted">
          {maps.length} of {damage} heads that err; all of them by `harness explain`.
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

/** One outline for all tiles of a shade: a map has thousands of tiles, and a page many maps. */
function outlines(tiles: readonly string[], width: number, height: number): [string, string][] {
  const paths = new Map<string, string>();
  tiles.forEach((line, y) => {
    [...line].forEach((letter, x) => {
      const tile = `M${1 + x * width},${1 + y * height}h${width}v${height}h${-width}z`;
      paths.set(heat(letter), (paths.get(heat(letter)) ?? "") + tile);
    });
  });
  return [...paths];
}

function HeadMap({ map }: { map: HeadErrorMap }): JSX.Element {
  const [pointed, point] = useState("");
  const rows = map.tiles.length;
  // A block that never came has no letters.
  const columns = Math.max(0, ...map.tiles.map((line) => line.length));
  const height = Math.min(largestCell, Math.floor((10 * extent) / Math.max(rows, columns, 1)) / 10);
  const width = columns === 1 ? height * 4 : height;
  const beyond = [...map.tiles.join("")].filter(isBeyond).length;
  const title = map.head < 0 ? "all channels" : `head ${map.head}`;
  const paths = useMemo(() => outlines(map.tiles, width, height), [map, width, height]);
  const show = (event: PointerEvent): void => {
    const [x, y] = [Math.floor((event.offsetX - 1) / width), Math.floor((event.offsetY - 1) / height)];
    const letter = map.tiles[y]?.[x];
    point(letter === undefined ? "" : `tile (${y}, ${x}): ${meaning(letter)}`);
  };
  return (
    <figure class="map">
      <figcaption>
        {title}: rho {errorRatio(map.rho)}, {beyond} of {rows * columns} tiles beyond their bound
      </figcaption>
      <svg
        role="img"
        aria-label={`${title}: ${beyond} of ${rows * columns} tiles beyond their bound`}
        width={columns * width + 2}
        height={rows * height + 2}
        onPointerMove={show}
      >
        {paths.map(([shade, path]) => (
          <path key={shade} class={`tile ${shade}`} d={path} />
        ))}
      </svg>
      <output class="muted">{pointed}</output>
    </figure>
  );
}

// Layers against ops as a grid: arrow keys move, Enter opens the details of a row.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { errorRatio, fixed } from "../data/figures.ts";
import { nearestLimit } from "../data/headroom.ts";
import type { Matrix } from "../data/matrix.ts";
import { headroomClass } from "../data/matrix.ts";
import type { IndexedRow } from "../data/rows.ts";
import { pieceName } from "../data/run.ts";
import { signOf, wordOf } from "../data/verdicts.ts";
import { useShared } from "./context.ts";
import { FigureValue } from "./number.tsx";

const moves: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

interface Properties {
  matrix: Matrix;
  clip: string;
  chosen: number | null; // index of the row whose details are open
  choose: (index: number) => void;
}

export function AccuracyMatrix({ matrix, clip, chosen, choose }: Properties): JSX.Element {
  const table = useRef<HTMLTableElement>(null);
  const [last, setAt] = useState<[number, number]>([0, 0]);
  const clamp = (value: number, count: number): number => Math.max(0, Math.min(count - 1, value));
  // Another clip or input may have fewer layers and ops; some cell must stay reachable.
  const at = [clamp(last[0], matrix.layers.length), clamp(last[1], matrix.ops.length)] as const;
  const move = (event: KeyboardEvent): void => {
    const step = moves[event.key];
    let [y, x]: [number, number] = [...at];
    if (step) {
      [y, x] = [clamp(y + step[0], matrix.layers.length), clamp(x + step[1], matrix.ops.length)];
    } else if (event.key === "Home") {
      x = 0;
    } else if (event.key === "End") {
      x = matrix.ops.length - 1;
    } else {
      return;
    }
    event.preventDefault();
    setAt([y, x]);
    table.current?.querySelector<HTMLElement>(`[data-at="${y},${x}"]`)?.focus();
  };
  return (
    <div class="table-frame">
      <table
        ref={table}
        class="matrix"
        role="grid"
        onKeyDown={move}
        aria-label="Headroom to the limits by layer and op"
      >
        <caption>
          <span>
            Headroom to the nearest gated limit in dB; where level 2 has none, ρ (error / bound, at most 1)
          </span>
        </caption>
        <thead>
          <tr role="row">
            <th scope="col">layer</th>
            {matrix.ops.map((op) => (
              <th key={op} scope="col" class="numeric">
                {op}
              </th>
            ))}
            <th scope="col" class="numeric">
              match %
            </th>
          </tr>
        </thead>
        <tbody>
          {matrix.layers.map((layer, y) => (
            <tr key={layer} role="row">
              <th scope="row">{pieceName(layer)}</th>
              {matrix.ops.map((op, x) => (
                <MatrixCell
                  key={op}
                  cell={matrix.cells[y]?.[x] ?? null}
                  position={`${y},${x}`}
                  reachable={y === at[0] && x === at[1]}
                  chosen={chosen}
                  choose={(index) => {
                    setAt([y, x]);
                    choose(index);
                  }}
                />
              ))}
              <HeadlineCell clip={clip} layer={layer} />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function MatrixCell(props: {
  cell: IndexedRow | null;
  position: string;
  reachable: boolean;
  chosen: number | null;
  choose: (index: number) => void;
}): JSX.Element {
  const { cell, position, reachable, chosen, choose } = props;
  if (cell === null) {
    return (
      <td role="gridcell" class="muted numeric">
        <span data-at={position} tabIndex={reachable ? 0 : -1} aria-label="no such row">
          –
        </span>
      </td>
    );
  }
  const { row, index } = cell;
  const nearest = nearestLimit(row);
  const room = nearest?.limit.room.value ?? null;
  const rho = row.statistics?.rho;
  const words = nearest
    ? `${fixed(room, 1)} dB to ${nearest.limit.limit}`
    : rho
      ? `ρ ${errorRatio(rho.value)}`
      : row.reason;
  return (
    <td
      role="gridcell"
      class={`cell cell-${row.verdict} headroom-${headroomClass(room)}`}
      aria-selected={index === chosen}
    >
      <button
        type="button"
        data-at={position}
        tabIndex={reachable ? 0 : -1}
        title={`${row.op}, ${pieceName(row.layer)}, ${row.input}: ${wordOf(row.verdict)}; ${words}`}
        aria-label={`${row.op}, ${pieceName(row.layer)}: ${wordOf(row.verdict)}, ${words}`}
        onClick={() => choose(index)}
      >
        <span aria-hidden="true" class="sign">
          {signOf(row.verdict)}
        </span>
        {nearest ? (
          <FigureValue
            figure={nearest.limit.room}
            path={`rows.${index}.headroom.${nearest.index}.room`}
            format="decibel"
          />
        ) : (
          rho && (
            <span>
              ρ <FigureValue figure={rho} path={`rows.${index}.statistics.rho`} format="errorRatio" />
            </span>
          )
        )}
      </button>
    </td>
  );
}

function HeadlineCell({ clip, layer }: { clip: string; layer: number }): JSX.Element {
  const { run } = useShared();
  const index = run.layers.findIndex((entry) => entry.clip === clip && entry.layer === layer);
  const entry = run.layers[index];
  if (!entry || entry.headline.verdict === "not_run") {
    return <td class="muted numeric">–</td>;
  }
  return (
    <td class={`numeric headline cell-${entry.headline.verdict}`} title={entry.headline.reason}>
      <span aria-hidden="true" class="sign">
        {signOf(entry.headline.verdict)}
      </span>{" "}
      <FigureValue figure={entry.output?.match} path={`layers.${index}.output.match`} format="percent" />
      <span class="unseen"> {wordOf(entry.headline.verdict)}</span>
    </td>
  );
}

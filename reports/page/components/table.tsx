// Tables: sortable where a column has a key, scrolled sideways in a frame of their own where they are wide.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import type { Direction } from "../data/rows.ts";
import { sorted } from "../data/rows.ts";
import { useParameter, useShared } from "./context.ts";

export interface Column<T> {
  name: string; // in addresses
  title: ComponentChildren;
  cell: (item: T) => ComponentChildren;
  key?: (item: T) => number | string | null | undefined; // absent: the column does not sort
  numeric?: boolean;
  hint?: string;
}

interface TableProperties<T> {
  name: string; // in addresses
  caption: ComponentChildren;
  columns: Column<T>[];
  items: readonly T[];
  identify: (item: T) => string;
  chosen?: string; // the identity of the row that stands out
  empty?: string;
}

const atOnce = 250; // rows; a table of thousands takes seconds to draw, so the rest comes when asked for

/** The order is kept in the address as NAME.COLUMN.DIRECTION. The first column names the row. */
export function Table<T>(properties: TableProperties<T>): JSX.Element {
  const { name, columns, items, identify, chosen, empty } = properties;
  const [order, setOrder] = useParameter("sort");
  const [table, columnName, direction] = order.split(".");
  const column = table === name ? columns.find((one) => one.name === columnName) : undefined;
  const way: Direction = direction === "descending" ? "descending" : "ascending";
  const { printing } = useShared();
  const [all, showAll] = useState(false);
  const ordered = column?.key ? sorted(items, column.key, way) : items;
  const shown = all || printing ? ordered : ordered.slice(0, atOnce);
  const press = (one: Column<T>): void => {
    // First press: numbers from the largest, words from A; the second turns it, the third is the run's order.
    const initial: Direction = one.numeric ? "descending" : "ascending";
    const turned: Direction = initial === "ascending" ? "descending" : "ascending";
    if (one !== column) {
      setOrder(`${name}.${one.name}.${initial}`);
    } else {
      setOrder(way === initial ? `${name}.${one.name}.${turned}` : "");
    }
  };
  const label = typeof properties.caption === "string" ? properties.caption : name;
  return (
    <div class="table-frame" tabIndex={0} role="region" aria-label={label}>
      <table id={`table-${name}`}>
        <caption>
          <span>{properties.caption}</span>
        </caption>
        <thead>
          <tr>
            {columns.map((one) => (
              <Heading key={one.name} column={one} way={one === column ? way : null} press={press} />
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((item) => (
            <tr key={identify(item)} class={identify(item) === chosen ? "chosen" : ""}>
              {columns.map((one, index) => (
                <Cell key={one.name} column={one} item={item} heads={index === 0} />
              ))}
            </tr>
          ))}
          {shown.length === 0 && (
            <tr>
              <td colSpan={columns.length} class="muted">
                {empty ?? "nothing"}
              </td>
            </tr>
          )}
        </tbody>
      </table>
      {shown.length < ordered.length && (
        <button type="button" class="more" onClick={() => showAll(true)}>
          First {shown.length} of {ordered.length} rows: show all
        </button>
      )}
    </div>
  );
}

function Heading<T>(props: {
  column: Column<T>;
  way: Direction | null;
  press: (column: Column<T>) => void;
}): JSX.Element {
  const { column, way, press } = props;
  const shape = column.numeric ? "numeric" : "";
  if (!column.key) {
    return (
      <th scope="col" class={shape} title={column.hint}>
        {column.title}
      </th>
    );
  }
  const arrow = way === null ? "↕" : way === "ascending" ? "↑" : "↓";
  return (
    <th scope="col" class={shape} aria-sort={way ?? "none"} title={column.hint}>
      <button type="button" class="sorter" onClick={() => press(column)}>
        {column.title}
        <span class={way === null ? "arrow" : "arrow arrow-on"} aria-hidden="true">
          {arrow}
        </span>
      </button>
    </th>
  );
}

function Cell<T>(props: { column: Column<T>; item: T; heads: boolean }): JSX.Element {
  const { column, item, heads } = props;
  const shape = column.numeric ? "numeric" : "";
  return heads ? (
    <th scope="row" class={shape}>
      {column.cell(item)}
    </th>
  ) : (
    <td class={shape}>{column.cell(item)}</td>
  );
}

// A chart with its text alternative: the same data as a table.
import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ChartContent } from "../charts/content.ts";
import { drawChart } from "../charts/draw.ts";

interface ChartProperties {
  name: string; // its element's id
  title: string;
  summary: string; // what it shows, in words
  height: number; // px
  content: ChartContent;
}

export function Chart({ name, title, summary, height, content }: ChartProperties): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    return frame.current === null ? undefined : drawChart(frame.current, content);
  }, [content, height]);
  return (
    <figure class="chart" id={name}>
      <figcaption>
        <strong>{title}</strong> <span class="muted">{summary}</span>
      </figcaption>
      <div
        ref={frame}
        class="chart-frame"
        style={{ height: `${height}px` }}
        role="img"
        aria-label={`${title}: ${summary}`}
      />
      <DataTable title={title} content={content} />
    </figure>
  );
}

function DataTable({ title, content }: { title: string; content: ChartContent }): JSX.Element {
  // Only once it is wanted: a year of nights is thousands of lines.
  const [open, setOpen] = useState(false);
  const { heads } = content.table;
  const lines = open ? content.table.lines : [];
  return (
    <details class="chart-data" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Data as a table</summary>
      <div class="table-frame" tabIndex={0} role="region" aria-label={`Data of: ${title}`}>
        <table>
          <caption>
            <span>{title}</span>
          </caption>
          <thead>
            <tr>
              {heads.map((head) => (
                <th key={head} scope="col">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {lines.map((line, at) => (
              <tr key={at}>
                {line.map((text, index) =>
                  index === 0 ? (
                    <th key={index} scope="row">
                      {text}
                    </th>
                  ) : (
                    <td key={index} class="numeric">
                      {text}
                    </td>
                  ),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

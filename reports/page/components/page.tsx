// The frame: verdict, navigation, and the view that the address names.
import type { ComponentType, JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Place, View } from "../data/location.ts";
import { hashOf, parsePlace, views } from "../data/location.ts";
import type { Run } from "../data/run.ts";
import type { Trend as TrendData } from "../data/trends.ts";
import { troublesOf } from "../data/troubles.ts";
import { Accuracy } from "../views/accuracy.tsx";
import { Drift } from "../views/drift.tsx";
import { Failures } from "../views/failures.tsx";
import { Provenance } from "../views/provenance.tsx";
import { Summary } from "../views/summary.tsx";
import { Time } from "../views/time.tsx";
import { Trend } from "../views/trend.tsx";
import type { Shared } from "./context.ts";
import { SharedProvider } from "./context.ts";
import { Headline } from "./headline.tsx";

const contents: Record<View, ComponentType> = {
  summary: Summary,
  failures: Failures,
  accuracy: Accuracy,
  drift: Drift,
  time: Time,
  trend: Trend,
  provenance: Provenance,
};

const titles: Record<View, string> = {
  summary: "Summary",
  failures: "Failures",
  accuracy: "Accuracy",
  drift: "Drift",
  time: "Time",
  trend: "Trend",
  provenance: "Provenance",
};

export function Page({
  run,
  text,
  trends,
  printing,
}: {
  run: Run;
  text: string;
  trends: TrendData[];
  printing: boolean;
}): JSX.Element {
  const [place, setPlace] = useState<Place>(() => parsePlace(location.hash));
  useEffect(() => {
    const follow = (): void => setPlace(parsePlace(location.hash));
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  const shared = useMemo<Shared>(() => {
    const go = (next: Place): void => {
      // A filter is no step of the history; a view is.
      const stays = next.view === place.view;
      history[stays ? "replaceState" : "pushState"](null, "", hashOf(next));
      setPlace(next);
      if (!stays) {
        window.scrollTo(0, 0);
      }
    };
    return { run, text, trends, place, go, printing };
  }, [run, text, trends, place, printing]);
  const failures = useMemo(() => {
    const { rows, others } = troublesOf(run);
    return rows.length + others.length;
  }, [run]);
  const shown = printing ? views : [place.view];
  return (
    <SharedProvider value={shared}>
      <a class="skip" href="#content" onClick={skip}>
        Skip to the content
      </a>
      <Headline />
      <Navigation place={place} go={shared.go} failures={failures} />
      <main id="content" tabIndex={-1}>
        {shown.map((view) => {
          const Content = contents[view];
          return (
            <div key={view} class="view" id={`view-${view}`}>
              <h1 class={printing ? "" : "unseen"}>{titles[view]}</h1>
              <Content />
            </div>
          );
        })}
      </main>
      <footer class="muted">
        Numbers are those of run.json, formatted only. <em>Measured</em>, <em>counted</em> and{" "}
        <em>modelled</em> are three kinds: the emulated device has no clock, and a modelled time is no
        measurement.
      </footer>
    </SharedProvider>
  );
}

// The address belongs to the views: focus moves without it.
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function Navigation(props: { place: Place; go: (place: Place) => void; failures: number }): JSX.Element {
  const { place, go, failures } = props;
  return (
    <nav aria-label="Views">
      <ul>
        {views.map((view) => (
          <li key={view}>
            <a
              href={`#${view}`}
              aria-current={view === place.view ? "page" : undefined}
              onClick={(event) => {
                event.preventDefault();
                go({ view, parameters: new Map() });
              }}
            >
              {titles[view]}
              {view === "failures" && (
                <span class={failures > 0 ? "count count-bad" : "count"}>{failures}</span>
              )}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

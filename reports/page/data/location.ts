// The address of what is shown: "#accuracy?op=context&layer=3". Links keep view, filters and order.

export const views = ["summary", "failures", "accuracy", "drift", "time", "trend", "provenance"] as const;
export type View = (typeof views)[number];

export interface Place {
  view: View;
  parameters: ReadonlyMap<string, string>;
}

/** The place of a hash; the summary for one that names no view. */
export function parsePlace(hash: string): Place {
  const [name = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const view = views.find((known) => known === name) ?? "summary";
  return { view, parameters: new Map(new URLSearchParams(query)) };
}

export function hashOf(place: Place): string {
  const query = new URLSearchParams([...place.parameters].filter(([, value]) => value !== "")).toString();
  return `#${place.view}${query === "" ? "" : `?${query}`}`;
}

/** The same view with one parameter changed; an empty value takes it away. */
export function changed(place: Place, name: string, value: string): Place {
  const parameters = new Map(place.parameters);
  parameters.set(name, value);
  return { view: place.view, parameters };
}

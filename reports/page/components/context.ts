// What every view reads: the run, its trends, the place in the page, and how to go elsewhere.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Place, View } from "../data/location.ts";
import { changed } from "../data/location.ts";
import type { Run } from "../data/run.ts";
import type { Trend } from "../data/trends.ts";

export interface Shared {
  run: Run;
  text: string; // run.json, byte for byte
  trends: Trend[];
  place: Place;
  go: (place: Place) => void;
  printing: boolean;
}

const SharedContext = createContext<Shared | null>(null);
export const SharedProvider = SharedContext.Provider;

export function useShared(): Shared {
  const shared = useContext(SharedContext);
  if (shared === null) {
    throw new Error("a view outside the page");
  }
  return shared;
}

/** A parameter of the address and the function that changes it; "" where it is not given. */
export function useParameter(name: string): [string, (value: string) => void] {
  const { place, go } = useShared();
  return [place.parameters.get(name) ?? "", (value) => go(changed(place, name, value))];
}

/** Goes to a view with these parameters. */
export function useVisit(): (view: View, parameters: Record<string, string>) => void {
  const { go } = useShared();
  return (view, parameters) => go({ view, parameters: new Map(Object.entries(parameters)) });
}

// Whether the numbers on a page are those of run.json, by other code than the page's own formatting.
import type { Page } from "playwright-core";

export interface ShownNumber {
  path: string; // in run.json
  value: string; // as the element carries it
  scale: number; // from the text to the value
  text: string;
}

export async function shownNumbers(page: Page): Promise<ShownNumber[]> {
  return page.$$eval("data[data-path]", (elements) =>
    elements.map((element) => ({
      path: element.getAttribute("data-path") ?? "",
      value: element.getAttribute("value") ?? "",
      scale: Number(element.getAttribute("data-scale")),
      text: element.textContent ?? "",
    })),
  );
}

/** What `path` names in the parsed text; undefined where there is nothing. */
export function valueAt(json: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((value, key) => {
    return value !== null && typeof value === "object"
      ? (value as Record<string, unknown>)[key]
      : undefined;
  }, json);
}

/** Why a number is not that of run.json; null where it is. A text may be off by one of its last digit. */
export function numberFault(json: unknown, shown: ShownNumber): string | null {
  const value = valueAt(json, shown.path);
  const told = `${shown.path}: "${shown.text}" (${shown.value})`;
  if (value === undefined) {
    return `${told} is not in run.json`;
  }
  if (value === null) {
    return /^[–∞]$/.test(shown.text) && shown.value === "null" ? null : `${told}, and run.json has null`;
  }
  if (typeof value !== "number" || Number(shown.value) !== value) {
    return `${told}, and run.json has ${String(value)}`;
  }
  const text = shown.text.replace(/[\u202f×]/g, "");
  const number = Number(text);
  const [mantissa = "", exponent = "0"] = text.split("e");
  const decimals = mantissa.split(".")[1]?.length ?? 0;
  const unit = 10 ** (Number(exponent) - decimals);
  const off = Math.abs(number - value / shown.scale);
  return text !== "" && off <= unit * 1.0001 ? null : `${told} reads ${number}, and run.json has ${value}`;
}

export function numberFaults(json: unknown, shown: readonly ShownNumber[]): string[] {
  return shown.map((one) => numberFault(json, one)).filter((fault) => fault !== null);
}

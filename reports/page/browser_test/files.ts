// Pages for the tests: as the harness writes them, and the same page with other data.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";

/** The program under test and where its files go. */
export interface Stand {
  harness: string;
  folder: string;
}

/** Runs the harness, whose exit code must be one of `codes`. */
export function runHarness({ harness, folder }: Stand, words: string[], codes: number[] = [0]): void {
  try {
    execFileSync(harness, words, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const { status, stderr } = error as { status?: number; stderr?: Buffer };
    if (!codes.includes(status ?? -1)) {
      throw new Error(`harness ${words.join(" ")}: exit ${status}: ${stderr?.toString()}`);
    }
  }
}

export interface Report {
  file: string; // the page
  json: unknown; // run.json
}

/** The page of a run.json in the folder, as `harness report` makes it. */
export function reportOf(stand: Stand, run: string): Report {
  const file = join(stand.folder, run.replace(/\.json$/, ".html"));
  runHarness(stand, ["report", run, "--html", file, "--quiet"]);
  return { file, json: JSON.parse(readFileSync(join(stand.folder, run), "utf8")) };
}

function element(page: string, identity: string): { begin: number; end: number } {
  const opening = `id="${identity}">`;
  const begin = page.indexOf(opening) + opening.length;
  return { begin, end: page.indexOf("</script>", begin) };
}

/** What an element of a page carries, as text. */
export function carried(file: string, identity: string): string {
  const page = readFileSync(file, "utf8");
  const { begin, end } = element(page, identity);
  return gunzipSync(Buffer.from(page.slice(begin, end), "base64")).toString("utf8");
}

/** The page of `file` with other data, in the file `name` of the same folder. */
export function withData(stand: Stand, file: string, name: string, data: Record<string, unknown>): string {
  let page = readFileSync(file, "utf8");
  for (const [identity, value] of Object.entries(data)) {
    const { begin, end } = element(page, identity);
    const packed = gzipSync(JSON.stringify(value)).toString("base64");
    page = page.slice(0, begin) + packed + page.slice(end);
  }
  const other = join(stand.folder, name);
  writeFileSync(other, page);
  return other;
}

// The page as people meet it: page_test.js HARNESS CHROMIUM FOLDER, where FOLDER holds compare.json (a run of
// `harness --compare`), encode.json (of `harness encode`), example.json and example_npu.json (made up, of the
// tests of run_record) and failing.json (a run on a device with a fault).
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { isBeyond, meaning } from "../data/error_map.ts";
import { views } from "../data/location.ts";
import type { Run } from "../data/run.ts";
import { close, launch, open } from "./browser.ts";
import { contrast } from "./contrast.ts";
import { carried, reportOf, withData } from "./files.ts";
import type { Report } from "./files.ts";
import { largeRun, yearOfNights } from "./large_run.ts";
import { numberFaults, shownNumbers } from "./numbers.ts";
import { asFirstVersion } from "./old_run.ts";

const [harness = "", program = "", folder = ""] = process.argv.slice(2);
const stand = { harness, folder };
const largestPage = 3 * 1024 * 1024;
const slowestFirstView = 30_000; // ms; people get it within 2 s, and machines of CI may be overloaded

let browser: Browser;
const reports = new Map<string, Report>();

function report(name: string): Report {
  const known = reports.get(name) ?? reportOf(stand, `${name}.json`);
  reports.set(name, known);
  return known;
}

before(async () => {
  browser = await launch(program);
});

after(async () => {
  await browser.close();
});

const sidewaysScroll = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

test("the page carries run.json byte for byte", () => {
  for (const name of ["compare", "encode", "example"]) {
    const text = readFileSync(join(folder, `${name}.json`), "utf8");
    assert.equal(carried(report(name).file, "run"), text);
  }
});

test("every view opens, and its numbers are those of run.json", async () => {
  const least: Record<string, number> = {
    compare: 450,
    encode: 150,
    example: 80,
    example_npu: 90,
    failing: 300,
  };
  for (const name of Object.keys(least)) {
    const { file, json } = report(name);
    const opened = await open(browser, file);
    let numbers = 0;
    for (const view of views) {
      await opened.page.click(`nav a[href="#${view}"]`);
      await opened.page.waitForSelector(`#view-${view}`);
      const shown = await shownNumbers(opened.page);
      assert.deepEqual(numberFaults(json, shown), [], `${name}: ${view}`);
      assert.ok(((await opened.page.textContent("main")) ?? "").length > 40, `${name}: ${view} is empty`);
      numbers += shown.length;
    }
    assert.ok(numbers > (least[name] ?? 0), `${name}: ${numbers} numbers`);
    await close(opened);
  }
});

test("a planted wrong number is found", async () => {
  const { file, json } = report("compare");
  const opened = await open(browser, file, "#accuracy");
  const plant = (change: string): Promise<void> =>
    opened.page.$eval(
      'data[data-path="rows.3.statistics.rho.value"]',
      (element, text) => {
        if (text === "value") {
          element.setAttribute("value", "0.5");
        } else {
          element.textContent = `${Number(element.textContent) * 1.02}`.slice(0, 6);
        }
      },
      change,
    );
  assert.deepEqual(numberFaults(json, await shownNumbers(opened.page)), []);
  await plant("text");
  assert.equal(numberFaults(json, await shownNumbers(opened.page)).length, 1);
  await plant("value");
  assert.equal(numberFaults(json, await shownNumbers(opened.page)).length, 1);
  await close(opened);
});

test("the verdict, its exit code and the kind of every time are words", async () => {
  const { file, json } = report("compare");
  const run = json as Run;
  const opened = await open(browser, file);
  const headline = (await opened.page.textContent(".verdict-line")) ?? "";
  assert.ok(headline.includes(run.verdict) && headline.includes(`exit code ${run.exit_code}`), headline);
  await opened.page.click('nav a[href="#time"]');
  for (const time of await opened.page.$$eval(".time", (all) => all.map((one) => one.textContent ?? ""))) {
    assert.match(time, /^[\d.]+(measured|modelled)$/);
  }
  const steps = run.time_model?.steps.length ?? 0;
  const hatched = await opened.page.locator('#timeline path[fill^="url("]').count();
  assert.ok(steps > 0 && hatched >= 3 * steps, `${hatched} hatched bars of ${steps} modelled steps`);
  await close(opened);
});

test("failed rows come first and say where, why and how to see it again", async () => {
  const opened = await open(browser, report("example").file, "#failures");
  const texts = await opened.page.$$eval("#view-failures article", (all) =>
    all.map((one) => one.textContent ?? ""),
  );
  const failed = texts.find((text) => text.includes("12 of 64000 elements outside their bound"));
  assert.ok(failed !== undefined);
  for (const part of ["head swapped", "tile 17", "core 5", "launch 2", "--head 3 --input chained"]) {
    assert.ok(failed.includes(part), `${part} is not in: ${failed}`);
  }
  assert.ok(texts.some((text) => text.includes("probe ones")));
  await close(opened);
});

test("a failed row shows where its heads err, tile by tile", async () => {
  const { file, json } = report("failing");
  const run = json as Run;
  const failed = run.rows.filter((row) => row.verdict === "failed" && row.statistics);
  assert.ok(failed.length >= 3, "the fault is in every op");
  for (const row of failed) {
    const [worst] = row.error_maps;
    assert.ok(worst !== undefined && worst.tiles.length === 3, row.op); // T = 130
    const damage = row.statistics?.damage?.worst;
    const letter = worst.tiles[Math.floor((damage?.row ?? 0) / 64)]?.[Math.floor((damage?.column ?? 0) / 64)];
    assert.ok(worst.head === damage?.head && isBeyond(letter ?? "."), `${row.op}: ${letter}`);
  }
  const row = failed.find(({ op, input }) => op === "scores" && input === "isolated") ?? assert.fail();
  const [map] = row.error_maps;
  const beyond = [...(map?.tiles.join("") ?? "")].filter(isBeyond).length;
  assert.ok(beyond >= 1 && beyond < 9, "one tile of the fault, and healthy ones beside it");
  const opened = await open(browser, file, `#failures?row=${run.rows.indexOf(row)}`);
  const shown = opened.page.locator(`#row-${run.rows.indexOf(row)} .map`);
  assert.equal(await shown.count(), row.error_maps.length);
  assert.match(
    (await shown.first().textContent()) ?? "",
    new RegExp(`head ${map?.head}: rho .*, ${beyond} of 9 tiles beyond`),
  );
  await shown.first().locator("svg").hover({ position: { x: 9, y: 27 } });
  const told = (await shown.first().locator("output").textContent()) ?? "";
  assert.equal(told, `tile (1, 0): ${meaning(map?.tiles[1]?.[0] ?? "")}`);
  await close(opened);
});

test("a headline that fails alone is counted, listed and reached", async () => {
  const { file, json } = report("compare");
  const run = json as Run;
  const headline = { verdict: "failed", reason: "match 99.8000% is under 99.9%" } as const;
  const layers = run.layers.map((layer, index) => (index === 0 ? { ...layer, headline } : layer));
  const alone = withData(stand, file, "headline.html", { run: { ...run, layers } });
  assert.ok(run.rows.every((row) => row.verdict === "passed" || row.verdict === "covered"));
  const opened = await open(browser, alone);
  const { page } = opened;
  assert.equal(await page.textContent('nav a[href="#failures"] .count'), "1");
  assert.match((await page.textContent(".verdict-line")) ?? "", /besides them to look at: 1 headline/);
  assert.match((await page.textContent(".troubles")) ?? "", /99\.8000% is under/);
  await page.click(".troubles button");
  assert.match((await page.textContent("#other-0")) ?? "", /headline of .*, layer 0/);
  await close(opened);
});

test("a run of the first minor version opens in every view", async () => {
  const { file, json } = report("compare");
  const run = asFirstVersion(json);
  const old = withData(stand, file, "old.html", { run });
  for (const view of views) {
    const opened = await open(browser, old, `#${view}`);
    assert.ok(((await opened.page.textContent("main")) ?? "").length > 40, `${view} is empty`);
    assert.deepEqual(numberFaults(run, await shownNumbers(opened.page)), [], view);
    await close(opened);
  }
});

test("what measured stands beside what was modelled, and where it ran", async () => {
  const { file, json } = report("example_npu");
  const shard = { of: 5, shards: [1, 2], lost: ["layer 3 of clip: rank 1 died"] };
  const part = withData(stand, file, "part.html", { run: { ...(json as Run), shard } });
  const opened = await open(browser, part);
  const { page } = opened;
  const text = async (selector: string): Promise<string> => (await page.textContent(selector)) ?? "";
  assert.match(await text(".part"), /Only a part of a run: shards 1, 2 of 5; lost: layer 3/);
  assert.match(await text(".key-figures"), /2\.82×.*within 2\.20× to 3\.60×/);
  await page.click('nav a[href="#time"]');
  assert.match(await text("#table-launches tbody"), /50\.00measured.*23\.40modelled/);
  assert.match(await text("#cpu-timing"), /6 to 10 times.*1\.004.*1\.120: beyond noise/);
  await page.click('nav a[href="#provenance"]');
  const provenance = await text("#view-provenance");
  for (const words of ["NPU Strix", "hardware", "performance", "in lists of up to 24", "1, 2 of 5"]) {
    assert.ok(provenance.includes(words), words);
  }
  assert.ok(!provenance.includes("[object"));
  await close(opened);
  const emulated = await open(browser, report("compare").file, "#provenance");
  const pairs = await emulated.page.$$eval(".pairs dt", (all) => all.map((one) => one.textContent));
  assert.ok(!pairs.includes("npu"), "no line for what is not there");
  await close(emulated);
});

test("of several clips the slowest is shown, by name", async () => {
  const { file, json } = report("compare");
  const run = json as Run;
  const [clip] = run.clips;
  assert.ok(clip !== undefined);
  const scaled = (name: string, factor: number) => ({
    ...clip,
    clip: name,
    speedup: { ...clip.speedup, value: (clip.speedup.value ?? 0) * factor },
  });
  const clips = [scaled("fast", 2), scaled("slow", 0.5)];
  const opened = await open(browser, withData(stand, file, "clips.html", { run: { ...run, clips } }));
  assert.match((await opened.page.textContent(".key-figures")) ?? "", /slow, the least of 2 clips/);
  assert.deepEqual(numberFaults({ ...run, clips }, await shownNumbers(opened.page)), []);
  await close(opened);
});

test("run.json is saved byte for byte", async () => {
  const opened = await open(browser, report("compare").file, "#provenance");
  const [saved] = await Promise.all([
    opened.page.waitForEvent("download"),
    opened.page.click("text=Save run.json"),
  ]);
  assert.equal(saved.suggestedFilename(), "run.json");
  assert.equal(
    readFileSync(await saved.path(), "utf8"),
    readFileSync(join(folder, "compare.json"), "utf8"),
  );
  await close(opened);
});

test("sorting goes by size both ways and back, and the address keeps it", async () => {
  const { file } = report("compare");
  const opened = await open(browser, file, "#accuracy?input=isolated");
  const { page } = opened;
  const heading = page.locator("#table-rows th", { hasText: "ρ" });
  const column = (): Promise<number[]> =>
    page.$$eval('#table-rows data[data-path$="statistics.rho.value"]', (all) =>
      all.map((one) => Number(one.getAttribute("value"))),
    );
  const order = await column();
  await heading.locator("button").click();
  assert.equal(await heading.getAttribute("aria-sort"), "descending");
  assert.deepEqual(
    await column(),
    [...order].sort((a, b) => b - a),
  );
  await heading.locator("button").click();
  assert.equal(await heading.getAttribute("aria-sort"), "ascending");
  assert.deepEqual(
    await column(),
    [...order].sort((a, b) => a - b),
  );
  const again = await open(browser, file, new URL(page.url()).hash);
  assert.equal(
    await again.page.locator("#table-rows th", { hasText: "ρ" }).getAttribute("aria-sort"),
    "ascending",
  );
  await close(again);
  await heading.locator("button").click();
  assert.deepEqual(await column(), order);
  await close(opened);
});

test("filters narrow the rows, and a link brings them back", async () => {
  const { file, json } = report("compare");
  const { rows } = json as Run;
  const opened = await open(browser, file, "#accuracy");
  const { page } = opened;
  const count = (): Promise<number> => page.locator("#table-rows tbody tr").count();
  assert.equal(await count(), rows.length);
  await page.selectOption('select[name="op"]', "context");
  const ofContext = rows.filter((row) => row.op === "context");
  assert.equal(await count(), ofContext.length);
  await page.selectOption('select[name="layer"]', "1");
  assert.equal(await count(), ofContext.filter((row) => row.layer === 1).length);
  const again = await open(browser, file, new URL(page.url()).hash);
  assert.equal(await again.page.locator("#table-rows tbody tr").count(), await count());
  await close(again);
  await page.fill('input[name="text"]', "no row says this");
  assert.match((await page.textContent("#table-rows tbody")) ?? "", /no row fits/);
  await close(opened);
});

test("the keyboard reaches everything: links, matrix, details", async () => {
  const { file } = report("compare");
  const opened = await open(browser, file, "#accuracy");
  const { page } = opened;
  await page.keyboard.press("Tab");
  assert.equal(
    await page.evaluate(() => document.activeElement?.textContent?.trim()),
    "Skip to the content",
  );
  await page.locator('.matrix [tabindex="0"]').focus();
  const focused = (): Promise<string | null> =>
    page.evaluate(() => document.activeElement?.getAttribute("data-at") ?? null);
  for (const [key, at] of [
    ["ArrowRight", "0,1"],
    ["ArrowDown", "1,1"],
    ["End", "1,6"],
    ["ArrowRight", "1,6"],
    ["ArrowUp", "0,6"],
    ["Home", "0,0"],
  ] as const) {
    await page.keyboard.press(key);
    assert.equal(await focused(), at, key);
  }
  assert.equal(await page.locator('.matrix [tabindex="0"]').count(), 1);
  const outline = await page.evaluate(
    () => getComputedStyle(document.activeElement as Element).outlineStyle,
  );
  assert.notEqual(outline, "none");
  await page.keyboard.press("Enter");
  assert.match((await page.textContent(".details h3")) ?? "", /layer 0 · query/);
  await close(opened);
});

test("the matrix stays reachable when another clip has fewer layers", async () => {
  const { file, json } = report("compare");
  const run = json as Run;
  const fewer = run.rows.filter((row) => row.layer === 0 && row.op !== "output");
  const rows = [...run.rows, ...fewer.map((row) => ({ ...row, clip: "short" }))];
  const short = withData(stand, file, "short.html", { run: { ...run, rows } });
  const opened = await open(browser, short, "#accuracy");
  const { page } = opened;
  await page.locator('.matrix [tabindex="0"]').focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("End");
  await page.selectOption('select[name="clip"]', "short");
  const reachable = page.locator('.matrix [tabindex="0"]');
  assert.equal(await reachable.count(), 1);
  assert.equal(await reachable.getAttribute("data-at"), "0,5");
  await reachable.focus();
  await page.keyboard.press("ArrowLeft");
  assert.equal(await reachable.getAttribute("data-at"), "0,4");
  await close(opened);
});

test("a row chosen below the matrix brings its details into view", async () => {
  const opened = await open(browser, report("compare").file, "#accuracy", { height: 600 });
  const { page } = opened;
  await page.locator("#table-rows .link").last().click();
  const box = await page.locator(".details").boundingBox();
  assert.ok(box !== null && box.y >= 0 && box.y < 600, `${box?.y}`);
  await close(opened);
});

test("fields are outlined at 3:1, in light and dark", async () => {
  for (const scheme of ["light", "dark"] as const) {
    const opened = await open(browser, report("compare").file, "#accuracy", { scheme });
    const colours = await opened.page.$$eval(".field :is(select, input)", (fields) =>
      fields.map((field) => {
        const { borderTopColor, backgroundColor } = getComputedStyle(field);
        return [borderTopColor, backgroundColor] as const;
      }),
    );
    assert.ok(colours.length >= 5);
    for (const [border, ground] of colours) {
      assert.ok(contrast(border, ground) >= 3, `${border} on ${ground}`);
    }
    await close(opened);
  }
});

test("light and dark differ, follow the system, and can be switched", async () => {
  const { file } = report("compare");
  const ground = (page: Page): Promise<string> =>
    page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await open(browser, file, "#time");
  const dark = await open(browser, file, "#time", { scheme: "dark" });
  const [bright, dim] = [await ground(light.page), await ground(dark.page)];
  assert.notEqual(bright, dim);
  await light.page.check('input[value="dark"]', { force: true });
  assert.equal(await ground(light.page), dim);
  await dark.page.check('input[value="light"]', { force: true });
  assert.equal(await ground(dark.page), bright);
  await close(light);
  await close(dark);
});

test("a phone shows every view without sideways scroll", async () => {
  for (const name of ["compare", "encode", "example"]) {
    const opened = await open(browser, report(name).file, "", { width: 360, height: 740 });
    for (const view of views) {
      await opened.page.evaluate(
        (hash) => (location.hash = hash),
        view === "accuracy" ? "accuracy?row=0" : view,
      );
      await opened.page.waitForSelector(`#view-${view}`);
      assert.equal(await sidewaysScroll(opened.page), 0, `${name}: ${view}`);
    }
    await close(opened);
  }
});

test("axe finds no serious violation, in light and dark", async () => {
  const axe = createRequire(import.meta.url).resolve("axe-core");
  for (const [name, scheme] of [
    ["compare", "light"],
    ["example", "dark"],
    ["encode", "light"],
  ] as const) {
    const opened = await open(browser, report(name).file, "", { scheme });
    await opened.page.addScriptTag({ path: axe });
    for (const view of views) {
      await opened.page.evaluate(
        (hash) => (location.hash = hash),
        view === "accuracy" ? "accuracy?row=0" : view,
      );
      await opened.page.waitForSelector(`#view-${view}`);
      const serious = await opened.page.evaluate(async () => {
        const { axe: checker } = window as unknown as { axe: typeof import("axe-core") };
        const { violations } = await checker.run(document, { resultTypes: ["violations"] });
        return violations
          .filter((one) => one.impact === "serious" || one.impact === "critical")
          .map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
      });
      assert.deepEqual(serious, [], `${name}: ${view}, ${scheme}`);
    }
    opened.complaints.splice(0); // of the script that was added
    await close(opened);
  }
});

test("every chart has its data as a table", async () => {
  const opened = await open(browser, report("compare").file, "#time");
  const { page } = opened;
  const charts = await page.locator("figure.chart").count();
  assert.ok(charts >= 3);
  for (let at = 0; at < charts; ++at) {
    const chart = page.locator("figure.chart").nth(at);
    assert.ok((await chart.locator("svg path").count()) > 0, `chart ${at} draws nothing`);
    await chart.locator("summary").click();
    await chart.locator("tbody tr").first().waitFor();
    assert.ok((await chart.locator("tbody tr").count()) >= 5, `chart ${at}`);
  }
  await close(opened);
});

test("printing shows every view", async () => {
  const opened = await open(browser, report("compare").file, "", { scheme: "dark" });
  await opened.page.evaluate(() => window.dispatchEvent(new Event("beforeprint")));
  assert.equal(await opened.page.locator(".view").count(), views.length);
  assert.equal(
    await opened.page.evaluate(() => getComputedStyle(document.documentElement).colorScheme),
    "light",
  );
  await opened.page.evaluate(() => window.dispatchEvent(new Event("afterprint")));
  assert.equal(await opened.page.locator(".view").count(), 1);
  await close(opened);
});

test("without a history the trend says how to get one", async () => {
  const opened = await open(browser, report("compare").file, "#trend");
  const text = (await opened.page.textContent("main")) ?? "";
  assert.match(text, /harness history add run\.json --history FILE/);
  assert.match(text, /harness report run\.json --html report\.html --history FILE/);
  await close(opened);
});

test("a newest night without a value reads as such", async () => {
  const { file, json } = report("compare");
  const night = (day: number, value: number | null) => ({
    created_utc: `2026-03-0${day}T02:00:00Z`,
    commit: "abc",
    value,
  });
  const points = [night(1, 0.5), night(2, null), night(3, 0.75), night(4, null)];
  const trends = [{ row: "scores", quantity: "rho (isolated)", kind: "computed", points }];
  const opened = await open(browser, withData(stand, file, "gap.html", { run: json, trends }), "#trend");
  const cells = await opened.page.locator("#table-trends tbody td, #table-trends tbody th").allTextContents();
  assert.deepEqual(cells.slice(0, 4), ["scores", "– computed", "–", "4"]);
  await close(opened);
});

test("a large run with a year of nights opens at once and stays small", async () => {
  const { file, json } = report("compare");
  const run = largeRun(json as Run);
  const large = withData(stand, file, "large.html", { run, trends: yearOfNights() });
  const size = statSync(large).size;
  assert.ok(size <= largestPage, `${size} bytes`);
  for (const view of ["summary", "accuracy", "trend", "failures"]) {
    const begin = performance.now();
    const opened = await open(browser, large, `#${view}`);
    await opened.page.waitForSelector(`#view-${view} *`);
    const took = performance.now() - begin;
    console.log(`# ${view} of a large run: ${Math.round(took)} ms, ${size} bytes`);
    assert.ok(took < slowestFirstView, `${view}: ${took} ms`);
    assert.deepEqual(numberFaults(run, await shownNumbers(opened.page)), []);
    await close(opened);
  }
});

test("a page that cannot be read says so", async () => {
  const { file } = report("compare");
  const broken = withData(stand, file, "broken.html", { run: "no run" });
  const page = await (await browser.newContext()).newPage();
  await page.goto(`file://${broken}`);
  await page.waitForFunction(() => (document.getElementById("page")?.textContent ?? "") !== "");
  assert.match((await page.textContent("#page")) ?? "", /cannot be (read|drawn)/);
  await page.context().close();
});

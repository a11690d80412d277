// A page under test in the distribution's Chromium: whatever it says to the console or asks of the network is
// kept, and asserted to be nothing.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { chromium } from "playwright-core";

export interface Viewing {
  width?: number;
  height?: number;
  scheme?: "light" | "dark";
}

export interface OpenPage {
  page: Page;
  complaints: string[]; // console errors, exceptions, requests other than of the file itself
}

/** `program`: Chromium. It runs as root in CI, where its sandbox does not. */
export async function launch(program: string): Promise<Browser> {
  return chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu"] });
}

export async function open(
  browser: Browser,
  file: string,
  hash = "",
  viewing: Viewing = {},
): Promise<OpenPage> {
  const { width = 1280, height = 900, scheme = "light" } = viewing;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      complaints.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  const address = pathToFileURL(file).href;
  page.on("request", (request) => {
    const url = request.url();
    if (url !== address && !url.startsWith("data:") && !url.startsWith("blob:")) {
      complaints.push(`request: ${url}`);
    }
  });
  await page.goto(address + hash);
  await page.waitForSelector("main .view");
  return { page, complaints };
}

/** Nothing was complained of, and the page is closed. */
export async function close({ page, complaints }: OpenPage): Promise<void> {
  assert.deepEqual(complaints, []);
  await page.context().close();
}

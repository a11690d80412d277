// A picture of a page for the README: screenshot.js PAGE.html CHROMIUM OUT.png [#VIEW]
import { resolve } from "node:path";
import { close, launch, open } from "./browser.ts";

const [file = "", program = "", picture = "", hash = ""] = process.argv.slice(2);
const browser = await launch(program);
const opened = await open(browser, resolve(file), hash, { width: 1280, height: 880 });
await opened.page.screenshot({ path: picture });
await close(opened);
await browser.close();

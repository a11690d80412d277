import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { unpacked } from "./embedded.ts";
import { isBeyond, meaning, octave } from "./error_map.ts";
import { changed, hashOf, parsePlace, views } from "./location.ts";

test("a link leads back to the same place", () => {
  for (const view of views) {
    const place = {
      view,
      parameters: new Map([
        ["text", "a&b=c #/ü"],
        ["op", "context"],
      ]),
    };
    assert.deepEqual(parsePlace(hashOf(place)), place);
  }
});

test("an address that names nothing is the summary, and empty parameters leave the address", () => {
  assert.equal(parsePlace("").view, "summary");
  assert.equal(parsePlace("#nowhere?op=query").view, "summary");
  const place = changed(parsePlace("#accuracy?op=query"), "op", "");
  assert.equal(hashOf(place), "#accuracy");
});

test("what was packed comes back", async () => {
  const text = JSON.stringify({ words: "</script> ü", many: Array.from({ length: 5000 }, (_, i) => i) });
  assert.equal(await unpacked(gzipSync(text).toString("base64")), text);
  await assert.rejects(unpacked("AAAA"));
});

test("the letters of an error map grow by octaves, and i is the first beyond its bound", () => {
  const letters = "abcdefghijklmnopqrstuvwxyz";
  [...letters].forEach((letter, index) => assert.equal(octave(letter), index - 9));
  assert.deepEqual([...letters].filter(isBeyond).join(""), letters.slice(9));
  assert.equal(octave("."), null);
  assert.ok(isBeyond("!") && !isBeyond("."));
  assert.equal(meaning("i"), "error 1/2 to 1 times its bound");
  assert.equal(meaning("j"), "error 1 to 2 times its bound");
  assert.equal(meaning("a"), "error up to 1/256 of its bound");
  assert.equal(meaning("z"), "error more than 65536 times its bound");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { speedupKind } from "./kinds.ts";
import type { Kind, Run } from "./run.ts";

const runOf = (steps: Kind[], encoders: Kind[] = []): Run =>
  ({
    layers: [{ steps: steps.map((kind) => ({ npu: { kind: "measured" }, speedup: { kind } })) }],
    encoders: [{ placements: encoders.map((kind) => ({ npu: { kind } })) }],
  }) as unknown as Run;

test("a speedup is measured where nothing of it is modelled", () => {
  assert.equal(speedupKind(runOf(["measured", "measured"])), "measured");
  assert.equal(speedupKind(runOf([], ["measured"])), "measured");
  assert.equal(speedupKind(runOf(["measured", "modelled"])), "modelled");
  assert.equal(speedupKind(runOf([], ["modelled"])), "modelled");
  assert.equal(speedupKind(runOf([])), "modelled");
});

test("over two machines it is modelled, though both sides were measured", () => {
  assert.equal(speedupKind(runOf(["modelled"])), "modelled");
});

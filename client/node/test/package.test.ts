/* The built package, as its users get it. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const ROOT = join(__dirname, "..", "..");

test("import and require give the same names and the same classes", async () => {
  const imported = await import("@sentinova/client");
  const required = require("@sentinova/client") as typeof imported;
  assert.deepEqual(Object.keys(imported).sort(), ["SentinovaClient", "SentinovaError", "VERSION"]);
  assert.equal(imported.SentinovaError, required.SentinovaError);
  assert.equal(imported.SentinovaClient, required.SentinovaClient);
});

test("the version is that of package.json", async () => {
  const { VERSION } = await import("@sentinova/client");
  const { version } = require("@sentinova/client/package.json") as { version: string };
  assert.equal(VERSION, version);
});

test("only what users need is packed", () => {
  const shown = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  const [packed] = JSON.parse(shown) as [{ files: { path: string }[] }];
  const strange = packed.files.filter(
    ({ path }) => !/^(README\.md|LICENSE|package\.json|dist\/.+\.(d\.ts|js|d\.mts|mjs))$/.test(path),
  );
  assert.deepEqual(strange, []);
  assert(packed.files.some(({ path }) => path === "dist/index.d.mts"));
});

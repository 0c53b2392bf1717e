// Builds the script of the offline page, and the licences of what is in it.
import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";

const target = new URL("../src/strataline/export/html/", import.meta.url);
const made = await build({
  absWorkingDir: new URL(".", import.meta.url).pathname,
  entryPoints: ["src/main.js"],
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022"],
  charset: "ascii",
  legalComments: "none",
  metafile: true,
  write: false,
});
const script = made.outputFiles[0].text.trim();
if (/<\/script|<!--/i.test(script)) throw new Error("the script would end its own element");
writeFileSync(new URL("page.js", target), script);

const names = Object.keys(made.metafile.inputs)
  .map((path) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1])
  .filter(Boolean);
const licences = [...new Set(names)].sort().map((name) => {
  const folder = new URL(`node_modules/${name}/`, import.meta.url);
  const { version, license } = JSON.parse(readFileSync(new URL("package.json", folder)));
  return `${name} ${version} (${license})\n\n${readFileSync(new URL("LICENSE", folder), "utf8").trim()}\n`;
});
writeFileSync(new URL("LICENCES.txt", target), licences.join("\n\n"));

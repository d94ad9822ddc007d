// Fails the build when what the first page loads is larger than promised. Run after `vite build`.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 250_000;
const built = new URL("../../src/tickmux/web/static/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("manifest.json", built), "utf8"));

/** The names of a chunk, of all that it imports, and of what a page loads by itself as soon as it is shown. */
function load(name, names) {
  if (names.has(name)) return names;
  names.add(name);
  const { imports = [], dynamicImports = [], isEntry } = manifest[name];
  // The entry's dynamic imports are the other pages.
  for (const other of isEntry ? imports : [...imports, ...dynamicImports]) load(other, names);
  return names;
}

const files = (names) =>
  new Set(
    [...names].flatMap((name) => [
      manifest[name].file,
      ...(manifest[name].css ?? []),
      ...(manifest[name].assets ?? []),
    ]),
  );

const size = (paths) =>
  [...paths].reduce((sum, file) => {
    const bytes = readFileSync(new URL(file, built));
    return sum + (file.endsWith(".woff2") ? bytes.length : gzipSync(bytes).length);
  }, 0);

const entry = Object.keys(manifest).find((name) => manifest[name].isEntry);
const pages = manifest[entry].dynamicImports;
let worst = 0;
for (const page of pages) {
  const total = size(["index.html", "theme.js", "icon.svg", ...files(load(page, load(entry, new Set())))]);
  worst = Math.max(worst, total);
  console.log(`${(total / 1000).toFixed(1).padStart(7)} kB  ${manifest[page].name}`);
}
console.log(`largest first load: ${(worst / 1000).toFixed(1)} kB gzipped of ${LIMIT / 1000} kB`);
if (!(worst > 0 && worst < LIMIT)) process.exit(1);

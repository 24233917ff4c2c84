/*
 * One file of all: scripts bundled by esbuild, with what they import from npm,
 * and styles, in the place of the comments in index.html.
 *
 *     node src/dashboard/build.mjs MODULES OUT
 *
 * MODULES: the directory that "npm ci" was run in.
 */


import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";


const [ modules, out ] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const { build } = createRequire(join(resolve(modules), "package.json"))(
    "esbuild");


async function bundle(entry, format) {
    const { outputFiles } = await build({
        entryPoints: [ join(here, entry) ],
        nodePaths: [ join(resolve(modules), "node_modules") ],
        bundle: true, minify: true, write: false, format,
        charset: "utf8", legalComments: "inline", logLevel: "warning",
        target: [ "chrome123", "firefox120", "safari17.5" ],
    });

    return outputFiles[0].text.trim();
}


const script = await bundle("main.js", "iife");
const style = await bundle("style.css");

/* what would end the element, or begin another in it, or be hashed anew */

for (const [ what, text, bad ] of [
    [ "script", script, /<\/script|<script|<!--|\r/i ],
    [ "style", style, /<\/style|\r/i ],
]) {
    if (bad.test(text)) {
        throw new Error(`the ${what} has what it must not have: ${bad}`);
    }
}

const page = readFileSync(join(here, "index.html"), "utf8")
    .replace("/* style */", () => style)
    .replace("/* script */", () => script);

writeFileSync(out, page);
console.log(`${out}: ${page.length} bytes`);

/*
 * A browser of the test's own: a fresh profile, nothing in the background, and
 * a note of all that a page asks for and complains about.
 */


import { createRequire } from "node:module";
import { join } from "node:path";


export const require = createRequire(join(process.env.PHOTA_BROWSER,
                                          "package.json"));

const { chromium } = require("playwright-core");

const ARGS = [ "--headless", "--no-sandbox", "--disable-gpu",
    "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync" ];


export async function open(options) {
    const context = await chromium.launchPersistentContext(
        join(process.env.PHOTA_PROFILE, String(open.number++)), {
            executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
            args: ARGS, headless: true, acceptDownloads: true,
            viewport: { width: 1280, height: 900 }, ...options,
        });

    const page = context.pages()[0] || await context.newPage();
    const notes = { requests: [], complaints: [], violations: [] };

    await page.addInitScript(() => {
        window.violations = [];
        document.addEventListener("securitypolicyviolation", (event) =>
            window.violations.push(`${event.violatedDirective} `
                                   + event.blockedURI));
    });

    page.on("request", (request) => notes.requests.push(request.url()));
    page.on("pageerror", (error) => notes.complaints.push(error.message));
    page.on("console", (message) => {
        if ([ "error", "warning" ].includes(message.type())) {
            notes.complaints.push(message.text());
        }
    });

    page.setDefaultTimeout(20000 * (Number(process.env.PHOTA_SLOW) || 1));

    return { context, page, notes };
}

open.number = 0;


/* the whole board is there, and has stopped changing */

export async function settled(page) {
    await page.waitForFunction(() => {
        const board = document.getElementById("board");

        return !board.hidden && !document.querySelector("[aria-busy]")
               && document.querySelector(".verdict")
               && document.querySelector("#sums data")
               && document.querySelector("#charges li, #charges .empty");
    });
    await page.waitForTimeout(300);
}


export async function signIn(page, token) {
    await page.locator("#token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
}

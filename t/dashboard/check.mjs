/*
 * What an operator does with the page.  A line for each finding on stdout, as
 * JSON, which month.t compares with the books.
 */


import { readFileSync } from "node:fs";
import { join } from "node:path";

import { open, require, settled, signIn } from "./browser.mjs";


const { PHOTA_URL: url, PHOTA_ORIGIN: origin, PHOTA_TOKEN: token,
        PHOTA_READER: reader, PHOTA_FILES: files } = process.env;
const axe = readFileSync(require.resolve("axe-core"), "utf8");


function say(name, value) {
    console.log(JSON.stringify({ name, value }));
}


/* whatever the widest thing is, the page is no wider than the window */

async function fits(page) {
    return page.evaluate(() => document.documentElement.scrollWidth
                               <= window.innerWidth);
}


async function accessible(page, what) {
    await page.evaluate(axe);

    const bad = await page.evaluate(async () => (await axe.run(document, {
        runOnly: [ "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
                   "best-practice" ],
    })).violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3)
        .map((node) => node.target + " " + node.failureSummary).join("; ")}`));

    say(`accessible: ${what}`, bad);
}


async function sums(page) {
    return page.evaluate(() => Object.fromEntries(
        [ "price", "cost", "margin", "saved", "outputs" ].map((name) => [ name,
            document.querySelector(`#sum-${name} data`).value ])
        .concat([ [ "hits", document.querySelectorAll("#sum-rate data")[0]
                            .value ],
                  [ "calls", document.querySelectorAll("#sum-rate data")[1]
                             .value ] ])));
}


async function parts(page) {
    return page.evaluate(() => [ ...document.querySelectorAll(
        "#parts tbody tr") ].map((row) => [ row.cells[0].textContent,
            row.cells[1].textContent,
            ...[ ...row.querySelectorAll("data") ].map((data) =>
                                                       data.value) ]));
}


/* from the keyboard alone: where is it, by tabs */

async function tabTo(page, name) {
    for (let i = 0; i < 80; i++) {
        await page.keyboard.press("Tab");

        const at = await page.evaluate(() => {
            const element = document.activeElement;
            const style = getComputedStyle(element);

            return [ element.getAttribute("aria-label") || element.textContent,
                     style.outlineStyle !== "none"
                     && parseFloat(style.outlineWidth) >= 2 ];
        });

        if (name.test(at[0])) {
            return at[1];
        }
    }

    throw new Error(`no tab leads to ${name}`);
}


async function download(page, button, name) {
    const [ file ] = await Promise.all([ page.waitForEvent("download"),
        page.getByRole("button", { name: button }).click() ]);

    await file.saveAs(join(files, name));
    say(`file: ${name}`, file.suggestedFilename());
}


async function operator() {
    const { context, page, notes } = await open({ colorScheme: "light" });

    await page.goto(url);
    await accessible(page, "sign-in");

    /* with a wrong token, and then with a good one */

    await signIn(page, "phg_" + "x".repeat(50));
    say("a tenant's token",
        await page.locator("#signin-error").textContent());

    await signIn(page, "pha_" + "x".repeat(50));
    await page.waitForFunction(() =>
        document.getElementById("signin-error").textContent
                .includes("not accepted"));
    say("a wrong token", await page.locator("#signin-error").textContent());
    say("401 told by the browser", notes.complaints.splice(0));

    await page.locator("#token").fill("");
    await page.locator("#token").focus();
    await page.keyboard.type(token);
    await page.keyboard.press("Enter");
    await settled(page);

    say("sums", await sums(page));
    say("by tenant", await parts(page));
    say("ledger", await page.locator("#ledger").textContent());
    say("budgets", await page.locator("#budgets li").allTextContents());
    say("unknown", await page.locator("#holds li code").allTextContents());
    say("charges", await page.locator("#charges li").count());
    await accessible(page, "light");

    /* thumbnails come as they are looked at */

    await page.locator("#charges-h").scrollIntoViewIfNeeded();
    await page.waitForFunction(() =>
        [ ...document.querySelectorAll("#charges img") ]
        .filter((image) => image.complete && image.naturalWidth).length >= 3);
    say("thumbnails", await page.locator("#charges img").evaluateAll(
        (images) => images.map((image) => image.getAttribute("src"))));

    for (const by of [ "Operation", "Tag", "Token" ]) {
        await page.locator("#by").getByRole("button", { name: by }).click();
        await page.waitForFunction((name) =>
            document.querySelector("#parts thead th")?.textContent === name,
            by);
        say(`by ${by.toLowerCase()}`, await parts(page));
    }

    await page.locator("#measure").selectOption("rate");
    await page.locator("#split").selectOption("operation");
    say("lines", await page.locator("#money .legend li").allTextContents());
    say("behind the chart", await page.locator("#money tbody tr").count());
    await page.locator("#measure").selectOption("");

    await page.locator("#money .plot").focus();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    say("read by arrows", await page.locator("#status").textContent());

    await download(page, "Entries as CSV", "entries.csv");
    await download(page, "Daily sums as CSV", "sums.csv");

    /* one tenant; and a settle from the keyboard alone */

    await page.locator("#tenant").selectOption("acme");
    await settled(page);
    await page.waitForFunction(() =>
        document.querySelectorAll("#parts tbody tr").length >= 1);
    say("sums of acme", await sums(page));
    await page.locator("#tenant").selectOption("");
    await settled(page);

    await page.locator("#main").focus();
    say("focus is seen", await tabTo(page, /^Settle: remix for acme, \$0\.60/));
    await page.keyboard.press("Enter");
    await accessible(page, "dialog");
    await page.keyboard.press("Enter");
    say("no reason", await page.locator("#resolve-error").textContent());
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.type("3");
    await page.keyboard.press("Tab");
    await page.keyboard.type("on the bill, three");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => !document.getElementById("resolve").open
        && /^Settled/.test(document.getElementById("status").textContent));
    say("said", await page.locator("#status").textContent());
    await settled(page);

    /* by a mouse: not bought */

    await page.getByRole("button", { name: /^Void: enhance for globex/ })
              .click();
    await page.locator("#reason").fill("not on the bill");
    await page.locator("#resolve-go").click();
    await page.waitForFunction(() =>
        document.querySelectorAll("#holds li").length === 1);
    await settled(page);
    say("unknown, later", await page.locator("#holds li code")
                                    .allTextContents());
    say("sums, later", await sums(page));

    /* dark, and on a phone */

    await page.locator("#theme").selectOption("dark");
    await accessible(page, "dark");

    for (const width of [ 375, 320 ]) {
        await page.setViewportSize({ width, height: 740 });
        await page.waitForTimeout(200);
        say(`fits ${width}`, await fits(page));
    }

    await accessible(page, "phone");

    await page.getByRole("button", { name: "Sign out" }).click();
    say("signed out", [ await page.locator("#token").isVisible(),
                        await page.locator("#board").isVisible(),
                        await page.locator("#token").inputValue(),
                        await page.locator("#charges").textContent() ]);
    say("fits 320, signed out", await fits(page));
    say("kept", await page.evaluate(() => [ localStorage.length,
        sessionStorage.length, document.cookie ]));

    say("complaints", notes.complaints);
    say("violations", await page.evaluate(() => window.violations));
    say("elsewhere", notes.requests.filter((request) =>
        !request.startsWith(origin + "/") && !request.startsWith("data:")
        && !request.startsWith("blob:" + origin + "/")));
    say("tokens in addresses", notes.requests.filter((request) =>
        /ph[ag]_/.test(request)));

    await context.close();
}


/* who may only read is told so, and what is in the page stays in it */

async function others() {
    const { context, page } = await open({ colorScheme: "dark" });

    await page.goto(url);
    await signIn(page, reader);
    await settled(page);

    await page.getByRole("button", { name: /^Void: / }).first().click();
    await page.locator("#reason").fill("I would like to");
    await page.locator("#resolve-go").click();
    await page.waitForFunction(() =>
        document.getElementById("resolve-error").textContent !== "");
    say("who may only read", await page.locator("#resolve-error")
                                       .textContent());

    say("the policy holds", await page.evaluate(async () => {
        const script = document.createElement("script");
        let typed = false;

        try {
            script.textContent = "window.ran = true";
            document.head.append(script);
        } catch {
            typed = true;
        }

        const away = await fetch("http://127.0.0.1:9/").then(() => "", (e) =>
                                                             e.name);

        await new Promise((resolve) => setTimeout(resolve, 200));

        return [ window.ran === undefined, typed, away,
                 window.violations.some((v) => v.startsWith("connect-src")) ];
    }));

    await context.close();
}


await operator();
await others();

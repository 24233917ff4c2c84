/*
 * The page in light, in dark and on a phone.
 */


import { join } from "node:path";

import { open, settled, signIn } from "./browser.mjs";


const shots = [
    { name: "light", width: 1280, height: 1000 },
    { name: "dark", width: 1280, height: 1000, to: "#holds-h" },
    { name: "phone", width: 375, height: 812 },
];


for (const { name, width, height, to } of shots) {
    const { context, page } = await open({ viewport: { width, height },
        colorScheme: name === "dark" ? "dark" : "light" });

    await page.goto(process.env.PHOTA_URL);
    await signIn(page, process.env.PHOTA_TOKEN);
    await settled(page);

    if (to) {
        await page.locator(to).evaluate((element) =>
            element.scrollIntoView({ block: "start" }));
        await page.waitForFunction(() => [
            ...document.querySelectorAll("#charges img") ].filter((image) =>
                image.complete && image.naturalWidth).length >= 3);
    }

    await page.waitForFunction(() =>
        !document.querySelector(".status.shown"));
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(process.env.PHOTA_FILES,
                                       `dashboard-${name}.png`) });
    await context.close();
}

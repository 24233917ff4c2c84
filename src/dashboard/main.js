/*
 * The page: who signs in, what is chosen, and when it is read again.
 */


import { $, fill, h, say } from "./dom.js";
import * as api from "./api.js";
import * as budgets from "./budgets.js";
import * as books from "./books.js";
import * as charges from "./charges.js";
import * as charts from "./charts.js";
import * as days from "./days.js";
import * as holds from "./holds.js";
import * as sums from "./sums.js";


const EVERY = 60000;            /* ms, while the page is looked at */

let signedIn = false;
let view = null;
let reading = null;
let last = 0;


function choose() {
    const name = $("period").value;

    $("custom").hidden = name !== "custom";

    if (name === "custom" && !($("from").value && $("to").value
                               && $("from").value <= $("to").value))
    {
        return false;
    }

    view = { ...days.period(name, $("from").value, $("to").value),
             tenant: $("tenant").value };

    return true;
}


async function show() {
    if (!signedIn || !choose()) {
        return;
    }

    const mine = reading = {};

    last = Date.now();

    const tenants = await named();

    if (mine !== reading || !signedIn) {
        return;
    }

    await Promise.all([ sums.show(view), holds.show(view),
                        budgets.show(tenants, view.tenant),
                        charges.show(view), books.cache() ]);
}


async function named() {
    const select = $("tenant");
    let tenants = [];

    try {
        tenants = (await api.list("tenant/list", {}, 5000)).rows;

    } catch (error) {
        say(error.message);
        return tenants;
    }

    const names = tenants.map((tenant) => tenant.tenant);
    const have = [ ...select.options ].slice(1).map((option) => option.value);

    if (names.join() !== have.join()) {
        const value = select.value;

        fill(select, h("option", { value: "" }, "All tenants"),
             names.map((name) => h("option", { value: name }, name)));
        select.value = names.includes(value) ? value : "";
        view.tenant = select.value;
    }

    return tenants;
}


/* --- who signs in */

function explain(error) {
    return {
        0: "The gateway doesn\u2019t answer. Is it there, and are you?",
        401: "This token is not accepted: it is wrong, was revoked or has "
             + "expired.",
        403: "You may not come from here: nginx denies it.",
        404: "There is no API at \u201c../\u201d of this page: phota_api is "
             + "missing there.",
    }[error.status] || error.message;
}


async function signIn() {
    const input = $("token");
    const button = $("signin-form").querySelector("button");
    const token = input.value.trim();

    const wrong = (text) => {
        $("signin-error").textContent = text;
        input.setAttribute("aria-invalid", "true");
        input.focus();
        input.select();
    };

    if (!/^pha_[0-9A-Za-z_-]+$/.test(token)) {
        wrong(token ? "An operator\u2019s token begins with \u201cpha_\u201d."
                    : "A token is needed.");
        return;
    }

    button.disabled = true;
    api.signIn(token);

    try {
        await api.get("tenant/list", { limit: 1 });

    } catch (error) {
        api.signOut();
        wrong(explain(error));
        return;

    } finally {
        button.disabled = false;
    }

    input.value = "";
    input.removeAttribute("aria-invalid");
    $("signin-error").textContent = "";

    signedIn = true;
    $("signin").hidden = true;
    $("top").hidden = false;
    $("board").hidden = false;
    $("main").focus({ preventScroll: true });
    say("Signed in.");

    await show();
    await books.verify();
}


function signOut(text) {
    if (!signedIn) {
        return;
    }

    /* what was read goes with who might read it */

    signedIn = false;
    api.signOut();

    for (const id of [ "sums", "money", "hits", "parts", "budgets", "holds",
                       "charges", "ledger", "cache", "attention" ])
    {
        $(id).replaceChildren();
    }

    $("resolve").close();
    $("attention").hidden = true;
    $("tenant").replaceChildren(h("option", { value: "" }, "All tenants"));
    $("board").hidden = true;
    $("top").hidden = true;
    $("signin").hidden = false;
    $("signin-error").textContent = text || "";
    $("token").focus();
}


/* --- what is pressed */

function on(id, event, handler) {
    $(id).addEventListener(event, handler);
}


function theme(name) {
    document.documentElement.dataset.theme = name;
    charts.redraw();
}


api.hooks.unauthorized = () => signOut("The token is not accepted any more: "
                                       + "sign in again.");

holds.init(show);

on("signin-form", "submit", (event) => {
    event.preventDefault();
    signIn();
});

on("signout", "click", () => signOut());
on("refresh", "click", async () => {
    await show();
    say("All is as of now.");
});

for (const id of [ "period", "tenant", "from", "to" ]) {
    on(id, "change", show);
}

on("measure", "change", () => sums.lines());
on("split", "change", () => sums.lines());
on("by", "click", (event) => {
    if (event.target.dataset.by) {
        sums.setBy(event.target.dataset.by);
    }
});
on("state", "change", () => charges.show(view));
on("verify", "click", () => books.verify());
on("csv-entries", "click", () => books.entries(view));
on("csv-sums", "click", () => books.daily(view));
on("theme", "change", (event) => theme(event.target.value));

matchMedia("(prefers-color-scheme: dark)")
    .addEventListener("change", () => charts.redraw());

/* not from under somebody's fingers */

setInterval(() => {
    if (signedIn && !document.hidden && !$("resolve").open
        && Date.now() - last >= EVERY
        && !$("board").contains(document.activeElement))
    {
        show();
    }
}, 5000);

$("from").value = days.text(Date.now() - 6 * days.DAY);
$("to").value = days.text(Date.now());
$("token").focus();

/*
 * What is unknown, and an operator's word on it; what is held beside it.  A word
 * that isn't answered may have been heard: the list is read again either way.
 */


import { $, empty, fill, h, load, say } from "./dom.js";
import { list, post } from "./api.js";
import { count, micro, money, plural, usd } from "./money.js";
import * as days from "./days.js";


const MOST = 500;

let view = null;
let chosen = null;              /* { hold, settle } of the dialog */
let changed = () => { };


export function init(whenChanged) {
    changed = whenChanged;

    $("resolve-form").addEventListener("submit", (event) => {
        event.preventDefault();
        resolve();
    });

    $("resolve-cancel").addEventListener("click", () => $("resolve").close());
}


export async function show(now) {
    view = now;

    await load($("holds"), async () => {
        const mine = view;
        const { rows, more } = await list("holds/list",
                                          { tenant: view.tenant }, MOST);

        if (mine !== view) {
            return;
        }

        const unknown = rows.filter((row) => row.state === "unknown");
        const held = rows.filter((row) => row.state !== "unknown");
        const sum = (some) => some.reduce((n, row) => n + micro(row.amount),
                                          0n);

        attention(unknown, sum(unknown));

        fill($("holds"),
             unknown.length
             ? h("ul", { class: "rows" }, unknown.map(row))
             : empty("None: the outcome of every purchase is known."),
             h("p", { class: "muted small" },
               held.length ? `${plural(held.length, "purchase is",
                                       "purchases are")} under way, `
                             + `${usd(sum(held), true)} held.`
                           : "Nothing is under way.",
               more ? ` The first ${count(rows.length)} are shown.` : null));
    });
}


function attention(unknown, amount) {
    const box = $("attention");

    box.hidden = unknown.length === 0;

    fill(box, h("p", {}, h("b", {}, plural(unknown.length,
                                           "purchase", "purchases")),
                ` with an unknown outcome, ${usd(amount, true)} of price at `
                + "stake."),
         h("a", { href: "#holds-h" }, "Look at them"));
}


function row(hold) {
    const name = `${hold.operation} for ${hold.tenant}, `
                 + usd(micro(hold.amount), true);

    return h("li", { class: "hold", id: hold.charge_id },
        h("div", { class: "grow" },
            h("div", {}, h("b", {}, hold.operation), " for ",
              h("b", {}, hold.tenant),
              hold.tag ? h("span", { class: "tag" }, hold.tag) : null),
            h("div", { class: "muted small" }, what(hold)),
            h("div", { class: "muted small" }, h("code", {}, hold.charge_id))),
        h("div", { class: "amount" }, money(micro(hold.amount), true),
          h("span", { class: "muted small" }, " held")),
        h("div", { class: "buttons" },
            h("button", { type: "button",
                          "aria-label": `Settle: ${name}`,
                          onclick: () => ask(hold, true) }, "Settle \u2026"),
            h("button", { type: "button",
                          "aria-label": `Void: ${name}`,
                          onclick: () => ask(hold, false) }, "Void \u2026")));
}


function what(hold) {
    return [ days.age(hold.age_s) + " ago, " + days.when(hold.time),
             hold.reason.replaceAll("_", " ")
             + (hold.status ? ` (${hold.status})` : ""),
             plural(hold.asked, "picture") + " asked for",
             hold.upstream_request_id
             ? "the provider\u2019s id " + hold.upstream_request_id : null ]
        .filter(Boolean).join(" \u00b7 ");
}


/* --- the dialog */

function ask(hold, settle) {
    chosen = { hold, settle };

    $("resolve-h").textContent = settle ? "It was bought" : "It was not bought";
    $("resolve-what").textContent = `${hold.operation} for ${hold.tenant}, `
        + `${days.when(hold.time)}, ${usd(micro(hold.amount), true)} held. `
        + (settle ? "The tenant owes it, and the provider\u2019s bill should "
                    + "have it."
                  : "The tenant owes nothing, and the provider\u2019s bill "
                    + "should not have it.");
    $("resolve-go").textContent = settle ? "Settle" : "Void";
    $("resolve-outputs").hidden = !settle;
    $("outputs").value = hold.asked;
    $("outputs").max = hold.asked;
    $("reason").value = "";
    wrong("");

    $("resolve").showModal();
    $("reason").focus();
}


function wrong(text) {
    $("resolve-error").textContent = text;
    $("reason").setAttribute("aria-invalid", String(text !== ""));
}


async function resolve() {
    const { hold, settle } = chosen;
    const reason = $("reason").value.trim();
    const outputs = Number($("outputs").value);
    const go = $("resolve-go");

    if (!reason) {
        wrong("Say why: it stays in the books.");
        $("reason").focus();
        return;
    }

    if (settle && !(Number.isInteger(outputs) && outputs >= 1)) {
        wrong("How many pictures? One at least.");
        $("outputs").focus();
        return;
    }

    const params = { charge: hold.charge_id, reason };

    if (settle && outputs !== hold.asked) {
        params.outputs = outputs;
    }

    go.disabled = true;

    try {
        await post(settle ? "holds/settle" : "holds/void", params);

    } catch (error) {
        wrong(error.message);
        return;

    } finally {
        go.disabled = false;
    }

    $("resolve").close();
    say(`${settle ? "Settled" : "Void"}: ${hold.operation} for `
        + `${hold.tenant}.`);

    await changed();
    $("holds-h").focus();
}

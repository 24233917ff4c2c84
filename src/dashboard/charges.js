/*
 * The latest charges, with their pictures.  The list goes on in the order of
 * time: how far back its end lies is found by looking.
 */


import { $, empty, fill, h, load } from "./dom.js";
import { get } from "./api.js";
import { micro, money, plural } from "./money.js";
import * as days from "./days.js";


const STEP = 12;                /* rows, and as many more each time */
const PAGE = 500;
const TRIES = 12;

let view = null;
let turn = 0;
let shown = STEP;
let pictures = true;            /* the API knows them */

const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
        if (entry.isIntersecting) {
            seen.unobserve(entry.target);
            thumbnail(entry.target);
        }
    }
}, { rootMargin: "200px" });


export async function show(now) {
    view = now;

    await load($("charges"), async () => {
        const mine = ++turn;
        const rows = await latest();

        if (mine !== turn) {
            return;
        }

        seen.disconnect();

        fill($("charges"), rows.length
             ? h("ul", { class: "rows" }, rows.map(row))
             : empty("No charges in these days."),
             rows.length === shown && shown < PAGE
             ? h("button", { type: "button", class: "wide-button",
                             onclick: more }, "Show more") : null);
    });
}


async function more() {
    const from = shown;

    shown += shown;
    await show(view);

    /* the button has gone: on to the first that is new */

    const item = $("charges").querySelectorAll("li")[from];

    if (item) {
        item.tabIndex = -1;
        item.focus();
    }
}


/* windows that grow until they have enough, and shrink when too much */

async function latest() {
    const end = Math.min(Date.now() + 60000, days.number(view.to));
    const begin = days.number(view.from);
    let size = 3600000;
    let best = [];

    for (let i = 0; i < TRIES; i++) {
        const from = Math.max(begin, end - size);
        const page = await get("ledger/list", {
            from: new Date(from).toISOString(),
            to: new Date(end).toISOString(),
            tenant: view.tenant, state: $("state").value, limit: PAGE,
        });

        if (!page.next) {
            best = page.rows;

            if (best.length >= shown || from === begin) {
                break;
            }

            size *= 6;

        } else if (best.length) {

            /* so many at once: what is behind the page is read, too */

            best = await rest(page, from, end);
            break;

        } else {
            size /= 8;
        }
    }

    return best.slice(-shown).reverse();
}


async function rest(page, from, end) {
    let rows = page.rows;

    for (let i = 0; page.next && i < TRIES; i++) {
        page = await get("ledger/list", {
            from: new Date(from).toISOString(),
            to: new Date(end).toISOString(), tenant: view.tenant,
            state: $("state").value, limit: PAGE, cursor: page.next,
        });

        rows = rows.slice(-shown).concat(page.rows);
    }

    return rows;
}


function row(charge) {
    const frame = h("div", { class: "thumb" });

    if (pictures && charge.state === "settled" && charge.outputs
        && charge.fingerprint)
    {
        frame.charge = charge;
        seen.observe(frame);
    }

    return h("li", { class: "charge" }, frame,
        h("div", { class: "grow" },
            h("div", {}, h("b", {}, charge.operation), " for ",
              h("b", {}, charge.tenant),
              charge.tag ? h("span", { class: "tag" }, charge.tag) : null),
            h("div", { class: "muted small" },
              [ days.when(charge.time),
                charge.cache === "hit" ? "from the cache"
                : charge.cache === "join" ? "joined another\u2019s purchase"
                : charge.state === "settled" ? plural(charge.outputs, "picture")
                : charge.reason.replaceAll("_", " ")
                  + (charge.status ? ` (${charge.status})` : "") ]
              .join(" \u00b7 ")),
            h("div", { class: "muted small" },
              h("code", {}, charge.charge_id))),
        h("span", { class: "state " + charge.state }, charge.state),
        charge.state === "unknown" || charge.state === "held"
        ? h("div", { class: "amount" }, money(micro(charge.held), true),
            h("span", { class: "muted small" }, "held"))
        : h("div", { class: "amount" }, money(micro(charge.price), true),
            h("span", { class: "muted small" }, "cost ",
              money(micro(charge.cost), true))));
}


async function thumbnail(frame) {
    const charge = frame.charge;
    let rows;

    try {
        ({ rows } = await get("ledger/pictures",
                              { charge: charge.charge_id }));

    } catch (error) {
        if (error.status === 404 && error.code !== "NOT_FOUND") {
            pictures = false;
        }

        return;
    }

    const linked = rows.filter((picture) => safe(picture.link));

    if (linked.length === 0) {
        return;
    }

    const image = h("img", { src: linked[0].link, width: 56, height: 56,
        loading: "lazy", decoding: "async", alt: `Picture of `
            + `${charge.operation} for ${charge.tenant}, `
            + days.when(charge.time),
        onerror: () => frame.replaceChildren() });

    fill(frame, h("a", { href: linked[0].link, target: "_blank",
                         rel: "noopener noreferrer" }, image),
         linked.length > 1
         ? h("span", { class: "more" }, `+${linked.length - 1}`) : null);
}


/* a path of this host, and nothing else */

function safe(link) {
    return typeof link === "string" && /^\/[^/\\]/.test(link);
}

/*
 * Whether the books are sound, what the cache holds, and all of it as CSV.
 */


import { $, fill, h, load, say } from "./dom.js";
import { get, read } from "./api.js";
import { bytes, count } from "./money.js";
import * as days from "./days.js";
import * as sums from "./sums.js";


export function verify() {
    return load($("ledger"), async () => {
        const started = Date.now();
        const state = await get("ledger/verify");
        const at = new Date().toISOString().slice(11, 19);

        fill($("ledger"), state.ok
             ? [ h("p", { class: "good verdict" }, "\u2713 Sound"),
                 h("p", { class: "muted small" },
                   `${count(state.entries)} entries and all sums agree; `
                   + `looked at ${at} UTC, `
                   + `${((Date.now() - started) / 1000).toFixed(1)} s.`),
                 h("p", { class: "muted small" }, "Chain ",
                   h("code", { title: state.chain },
                     state.chain.slice(0, 16) + "\u2026")) ]
             : [ h("p", { class: "bad verdict" }, "\u2717 Not sound"),
                 h("p", { class: "error" }, state.error) ]);
    });
}


export function cache() {
    return load($("cache"), async () => {
        const state = await get("cache/stats");
        const pair = (name, value) => h("div", {}, h("dt", {}, name),
                                        h("dd", {}, value));

        fill($("cache"), h("dl", { class: "pairs" },
            pair("Results", count(state.results)),
            pair("Pictures", count(state.pictures)),
            pair("In use", bytes(state.bytes)),
            pair("To be deleted", bytes(state.garbage)),
            pair("File", bytes(state.file_bytes))));
    });
}


/* --- CSV */

/* records of a text whose quotes are closed */

export function* records(text) {
    let record = [], field = "", quoted = false;

    for (let i = 0; i < text.length; i++) {
        const c = text[i];

        if (quoted) {
            if (c !== '"') {
                field += c;

            } else if (text[i + 1] === '"') {
                field += c;
                i++;

            } else {
                quoted = false;
            }

        } else if (c === '"') {
            quoted = true;

        } else if (c === "," || c === "\n") {
            record.push(field);
            field = "";

            if (c === "\n") {
                yield record;
                record = [];
            }

        } else if (c !== "\r") {
            field += c;
        }
    }
}


/* what a tenant has written is no formula of whoever opens the file */

function cell(value) {
    let text = String(value);

    if (/^[=+\-@\t]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text)) {
        text = "'" + text;
    }

    return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"'
                                 : text;
}


function csv(rows) {
    return rows.map((row) => row.map(cell).join(",") + "\n").join("");
}


function save(name, parts) {
    const url = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
    const link = h("a", { href: url, download: name });

    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
}


function fileName(what, view) {
    return `phota-${what}${view.tenant ? "-" + view.tenant : ""}-${view.from}`
           + `-${days.text(days.number(view.to) - days.DAY)}.csv`;
}


async function busy(button, work) {
    button.disabled = true;
    $("csv-error").textContent = "";

    try {
        await work();

    } catch (error) {
        if (error.name !== "AbortError") {
            $("csv-error").textContent = error.message;
        }

    } finally {
        button.disabled = false;
    }
}


/* the export has no first day: what was before is read, and left out */

export function entries(view) {
    return busy($("csv-entries"), async () => {
        const parts = [];
        let cursor = null, header = null, rows = 0;

        do {
            const { response, text } = await read("ledger/export", {
                format: "csv", limit: 1000, tenant: view.tenant, cursor,
            });
            const kept = [];

            for (const record of records(text)) {

                if (record[0] === "sequence") {
                    if (!header) {
                        header = record;
                        kept.push(record);
                    }

                    continue;
                }

                const day = record[header.indexOf("day")];

                if (day >= view.from && day < view.to) {
                    kept.push(record);
                    rows++;
                }
            }

            parts.push(csv(kept));
            cursor = response.headers.get("Phota-Next");
            say(`${count(rows)} entries \u2026`);

        } while (cursor);

        save(fileName("entries", view), parts);
        say(`${count(rows)} entries saved.`);
    });
}


export function daily(view) {
    return busy($("csv-sums"), async () => {
        const names = [ "day", "tenant", "operation", "calls", "hits",
                        "outputs", "identity_outputs", "cost", "price",
                        "saved" ];
        const rows = sums.rowsByDay().map((row) => names.map((name) =>
                                                             row[name]));

        rows.sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);

        save(fileName("sums", view), [ csv([ names, ...rows ]) ]);
        say(`${count(rows.length)} sums saved.`);
    });
}

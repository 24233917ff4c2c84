/*
 * Sums of the period: the figures, what they were in the one before, day by
 * day, and what they are made of.
 */


import { $, empty, fill, h, load, table } from "./dom.js";
import { get } from "./api.js";
import { add, compact, count, dollars, money, nothing, percent }
    from "./money.js";
import { chart } from "./charts.js";
import * as days from "./days.js";


const MOST = 5;                 /* lines beside "others" */

let by = "tenant";
let view = null;
let daily = [];                 /* rows of usage by day */


export function rowsByDay() {
    return daily;
}


export async function show(now) {
    view = now;

    await Promise.all([ figures(), byDay(), parts() ]);
}


function asked(more) {
    return { from: view.from, to: view.to, tenant: view.tenant, ...more };
}


/* --- figures */

async function figures() {
    const list = $("sums");

    $("sums-error").textContent = "";
    $("sums-when").textContent = `${days.label(view.from)} to `
        + days.label(days.text(days.number(view.to) - days.DAY));

    const mine = view;

    list.setAttribute("aria-busy", "true");

    try {
        const [ now, before ] = await Promise.all([
            get("usage", asked()),
            get("usage", asked({ from: view.before, to: view.from })),
        ]);

        if (mine === view) {
            fill(list, cards(add(nothing(), now.total),
                             add(nothing(), before.total)));
        }

    } catch (error) {
        if (error.name !== "AbortError") {
            $("sums-error").textContent = error.message;
        }

    } finally {
        list.removeAttribute("aria-busy");
    }
}


function cards(now, before) {
    const rate = (sum) => sum.calls ? 100 * sum.hits / sum.calls : 0;
    const margin = now.price - now.cost;
    const was = before.price - before.cost;

    const change = (a, b) => {
        if (!b) {
            return "";
        }

        const n = 100 * (Number(a) - Number(b)) / Math.abs(Number(b));

        return `${n < 0 ? "\u25bc" : "\u25b2"} ${Math.abs(n).toFixed(0)} %`;
    };

    const card = (id, name, value, note, trend) =>
        h("div", { class: "sum", id: "sum-" + id },
            h("dt", {}, name),
            h("dd", { class: "value" }, value),
            h("dd", { class: "muted" }, note),
            trend ? h("dd", { class: "trend" }, trend,
                      h("span", { class: "unseen" }, " against the "
                        + view.days + " days before")) : null);

    return [
        card("price", "Price", money(now.price), "owed by tenants",
             change(now.price, before.price)),
        card("cost", "Cost", money(now.cost), "billed by the provider",
             change(now.cost, before.cost)),
        card("margin", "Margin", money(margin),
             now.price ? percent(Number(margin), Number(now.price))
                         + " of the price" : "price less cost",
             change(margin, was)),
        card("saved", "Saved", money(now.saved), "cost that hits avoided",
             change(now.saved, before.saved)),
        card("rate", "Hit rate", percent(now.hits, now.calls),
             h("span", {}, h("data", { value: now.hits }, count(now.hits)),
               " of ", h("data", { value: now.calls }, count(now.calls)),
               " calls"),
             before.calls ? `${rate(now) < rate(before) ? "\u25bc" : "\u25b2"} `
                 + `${Math.abs(rate(now) - rate(before)).toFixed(1)} points`
                 : ""),
        card("outputs", "Pictures",
             h("data", { value: now.outputs }, count(now.outputs)),
             "bought or answered from the cache",
             change(now.outputs, before.outputs)),
    ];
}


/* --- day by day */

async function byDay() {
    await load($("money"), async () => {
        const mine = view;
        const usage = await get("usage", asked({ by: "day" }));

        if (mine === view) {
            daily = usage.rows;
            lines();
            hits();
        }
    });
}


/* a sum for each day of each group */

function grouped(name) {
    const groups = new Map();

    for (const row of daily) {
        const key = name ? row[name] : "";
        const group = groups.get(key) || { all: nothing(), days: new Map() };

        groups.set(key, group);
        add(group.all, row);
        group.days.set(row.day, add(group.days.get(row.day) || nothing(),
                                    row));
    }

    return groups;
}


export function lines() {
    const measure = $("measure").value;
    const split = $("split");

    split.disabled = measure === "";

    const all = days.each(view.from, view.to);
    const rate = measure === "rate";

    if (!daily.length) {
        fill($("money"), empty("No calls in these days."));
        return;
    }

    const amount = (value) => "$" + value.toFixed(2);
    const share = (value) => value == null ? "\u2013" : value.toFixed(1) + " %";

    chart($("money"), {
        days: all,
        area: measure === "",
        axis: rate ? (n) => n + " %" : (n) => "$" + compact(n),
        caption: measure ? `${measure} by ${split.value} and day`
                         : "Price, cost and saved by day",
        label: measure ? `Lines of ${rate ? "the hit rate" : measure} by day, `
                         + `one for each ${split.value}.`
                       : "Lines of price, cost and saved by day.",
        series: measure === ""
            ? [ "price", "cost", "saved" ].map((name, i) => ({
                name, colour: name, format: amount, dash: i,
                values: valuesOf(grouped("").get(""), all, name),
            }))
            : most(grouped(split.value), measure).map(([ name, group ], i) => ({
                name, colour: `c${i + 1}`, format: rate ? share : amount,
                values: valuesOf(group, all, measure),
            })),
    });
}


function valuesOf(group, all, measure) {
    return all.map((day) => {
        const sum = group.days.get(day);

        if (measure === "rate") {
            return sum && sum.calls ? 100 * sum.hits / sum.calls : null;
        }

        return sum ? dollars(sum[measure]) : 0;
    });
}


/* the largest, and all others as one */

function most(groups, measure) {
    const weight = (group) => measure === "rate" ? group.all.calls
                                                 : Number(group.all[measure]);
    const sorted = [ ...groups ].sort((a, b) => weight(b[1]) - weight(a[1]));
    const rest = sorted.slice(MOST);

    if (rest.length < 2) {
        return sorted;
    }

    const others = { all: nothing(), days: new Map() };

    for (const [ , group ] of rest) {
        for (const [ day, sum ] of group.days) {
            const to = others.days.get(day) || nothing();

            for (const name of Object.keys(to)) {
                to[name] += sum[name];
            }

            others.days.set(day, to);
        }
    }

    return [ ...sorted.slice(0, MOST), [ `${rest.length} others`, others ] ];
}


function hits() {
    const all = days.each(view.from, view.to);
    const group = grouped("").get("");

    if (!group) {
        fill($("hits"), empty("No calls in these days."));
        return;
    }

    const of = (name) => all.map((day) => group.days.get(day)?.[name] || 0);

    chart($("hits"), {
        days: all,
        axis: compact,
        right: (n) => n + " %",
        caption: "Calls, hits and hit rate by day",
        label: "Bars of calls and hits by day, and a line of the hit rate.",
        series: [
            { name: "calls", colour: "calls", bars: 0.45, values: of("calls"),
              format: count },
            { name: "hits", colour: "saved", bars: 0.75, values: of("hits"),
              format: count },
            { name: "hit rate", colour: "price", scale: "right", dash: 0,
              values: valuesOf(group, all, "rate"),
              format: (n) => n == null ? "\u2013" : n.toFixed(1) + " %" },
        ],
    });
}


/* --- what it is made of */

export function setBy(name) {
    by = name;

    for (const button of $("by").children) {
        button.setAttribute("aria-pressed", String(button.dataset.by === by));
    }

    return parts();
}


function parts() {
    return load($("parts"), async () => {
        const mine = view;
        const name = by;
        const key = { token: "token_id" }[name] || name;
        const usage = await get("usage", asked(
            name === "tag" || name === "token" ? { by: name } : {}));

        if (name !== by || mine !== view) {
            return;
        }

        const groups = new Map();

        for (const row of usage.rows) {
            const text = key === "token_id" ? `${row.tenant} #${row.token_id}`
                                            : row[key] || "no tag";

            groups.set(text, add(groups.get(text) || nothing(), row));
        }

        const rows = [ ...groups ].map(([ text, sum ]) => ({ text, ...sum }))
            .sort((a, b) => Number(b.price - a.price) || b.calls - a.calls);

        fill($("parts"), rows.length ? breakdown(rows, usage.total)
                                     : empty("Nothing was used."));
    });
}


function breakdown(rows, total) {
    const largest = rows.reduce((n, row) => Math.max(n, Number(row.price)), 0);

    return table(`Sums by ${by}`, [
        { title: { tenant: "Tenant", operation: "Operation", tag: "Tag",
                   token: "Token" }[by],
          cell: (row) => row.all ? row.text : [ row.text, bar(row, largest) ] },
        { title: "Calls", number: true, cell: (row) => count(row.calls) },
        { title: "Hit rate", number: true,
          cell: (row) => percent(row.hits, row.calls) },
        { title: "Cost", number: true, cell: (row) => money(row.cost) },
        { title: "Price", number: true, cell: (row) => money(row.price) },
        { title: "Saved", number: true, cell: (row) => money(row.saved) },
    ], rows, { text: "Total", all: true, ...add(nothing(), total) });
}


function bar(row, largest) {
    const element = h("i", { class: "share", "aria-hidden": "true" });

    element.style.width = (largest ? 100 * Number(row.price) / largest : 0)
                          + "%";

    return element;
}



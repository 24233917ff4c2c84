/*
 * Budgets as bars: what is spent and held of them, in the tenant's own day and
 * month.
 */


import { $, empty, fill, h, load } from "./dom.js";
import { get } from "./api.js";
import { micro, money, percent } from "./money.js";


const MOST = 100;               /* tenants that are asked about */

const names = { day: "today", month: "this month", total: "in all" };


export function show(tenants, name) {
    return load($("budgets"), async () => {
        const limited = tenants.filter((tenant) =>
            (!name || tenant.tenant === name)
            && (tenant.budget_day || tenant.budget_month
                || tenant.budget_total));

        const shown = await Promise.all(limited.slice(0, MOST)
            .map((tenant) => get("tenant/show", { tenant: tenant.tenant })));

        const bars = shown.flatMap(budgetsOf)
            .sort((a, b) => b.share - a.share);

        fill($("budgets"),
             bars.length ? h("ul", { class: "budgets" }, bars.map(bar))
             : empty("No budgets are set. \u201cphotactl tenant set NAME "
                     + "--budget-month 100\u201d sets one."),
             limited.length > MOST ? h("p", { class: "muted" },
                 `The first ${MOST} tenants; choose one to see another.`)
                 : null);
    });
}


function budgetsOf(tenant) {
    return Object.entries(tenant.budgets)
        .filter(([ , budget ]) => budget.limit != null)
        .map(([ period, budget ]) => {
            const limit = micro(budget.limit);
            const spent = micro(budget.spent);
            const held = micro(budget.held);

            return { tenant: tenant.tenant, period, limit, spent, held,
                     warning: budget.warning,
                     share: limit ? Number(spent + held) / Number(limit) : 1 };
        });
}


function bar(budget) {
    const { limit, spent, held } = budget;
    const full = budget.share >= 1;
    const part = (amount) => limit ? Math.min(100, 100 * Number(amount)
                                                   / Number(limit)) : 100;
    const used = h("i", { class: "spent" });
    const open = h("i", { class: "held" });

    used.style.width = part(spent) + "%";
    open.style.width = Math.min(part(held), 100 - part(spent)) + "%";

    const state = full ? "used up" : budget.warning || budget.share >= 0.8
        ? "nearly used up" : "";

    return h("li", { class: full ? "full" : state ? "near" : null },
        h("div", { class: "line" },
            h("b", {}, budget.tenant), h("span", { class: "muted" },
                                         names[budget.period]),
            state ? h("span", { class: "badge" }, state) : null,
            h("span", { class: "end" }, percent(Number(spent + held),
                                                Number(limit)))),
        h("div", { class: "bar", "aria-hidden": "true" }, used, open),
        h("div", { class: "muted small" }, money(spent), " spent",
          held ? [ ", ", money(held), " held" ] : null, " of ", money(limit)));
}

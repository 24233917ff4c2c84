/*
 * Amounts as the books have them: whole micro-USD, added exactly.  What people
 * see may be rounded, the exact amount is always there beside it.
 */


import { h } from "./dom.js";


const MICRO = 1000000n;

const whole = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact",
                                               maximumFractionDigits: 1 });


/* "-0.240000" to -240000n */

export function micro(text) {
    const parts = /^(-?)(\d+)\.(\d{6})$/.exec(text);

    if (!parts) {
        throw new Error(`"${text}" is not an amount`);
    }

    const amount = BigInt(parts[2]) * MICRO + BigInt(parts[3]);

    return parts[1] ? -amount : amount;
}


export function exact(amount) {
    const size = amount < 0n ? -amount : amount;

    return (amount < 0n ? "-" : "") + size / MICRO + "."
           + String(size % MICRO).padStart(6, "0");
}


/* "$1,234.56"; all its digits where cents don't tell it */

export function usd(amount, all) {
    let size = amount < 0n ? -amount : amount;
    let fraction;

    if (all) {
        fraction = String(size % MICRO).padStart(6, "0")
                                       .replace(/0{1,4}$/, "");

    } else {
        size = (size + 5000n) / 10000n * 10000n;
        fraction = String(size % MICRO / 10000n).padStart(2, "0");
    }

    return (amount < 0n ? "\u2212$" : "$") + whole.format(size / MICRO) + "."
           + fraction;
}


export function dollars(amount) {
    return Number(amount) / 1e6;
}


export function money(amount, all) {
    return h("data", { value: exact(amount), title: "$" + exact(amount) },
             usd(amount, all));
}


export function count(n) {
    return whole.format(n);
}


export function compact(n) {
    return short.format(n);
}


export function percent(part, all) {
    return all ? (100 * part / all).toFixed(1) + " %" : "\u2013";
}


export function bytes(n) {
    const units = [ "B", "KB", "MB", "GB", "TB" ];
    let i = 0;

    while (n >= 1000 && i < units.length - 1) {
        n /= 1024;
        i++;
    }

    return (i && n < 100 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
}


export function plural(n, one, many) {
    return `${count(n)} ${n === 1 ? one : many || one + "s"}`;
}


/* sums of rows of usage */

export function add(to, row) {
    to.calls += row.calls;
    to.hits += row.hits;
    to.outputs += row.outputs;
    to.cost += micro(row.cost);
    to.price += micro(row.price);
    to.saved += micro(row.saved);

    return to;
}


export function nothing() {
    return { calls: 0, hits: 0, outputs: 0, cost: 0n, price: 0n, saved: 0n };
}

/*
 * Days as the books have them: in UTC, "2026-11-21"; a period goes from its
 * first day to the one behind its last.
 */


export const DAY = 86400000;


export function text(ms) {
    return new Date(ms).toISOString().slice(0, 10);
}


export function number(day) {
    return Date.parse(day + "T00:00:00Z");
}


export function period(name, from, to, now = Date.now()) {
    const today = Math.floor(now / DAY) * DAY;
    const date = new Date(today);
    const month = (n) => Date.UTC(date.getUTCFullYear(),
                                  date.getUTCMonth() + n, 1);

    let first, behind = today + DAY;

    if (name === "month") {
        first = month(0);

    } else if (name === "last") {
        first = month(-1);
        behind = month(0);

    } else if (name === "custom") {
        first = number(from);
        behind = number(to) + DAY;

    } else {
        first = behind - Number(name) * DAY;
    }

    return { from: text(first), to: text(behind),
             days: Math.round((behind - first) / DAY),
             before: text(first - (behind - first)) };
}


export function each(from, to) {
    const days = [];

    for (let ms = number(from); ms < number(to); ms += DAY) {
        days.push(text(ms));
    }

    return days;
}


const short = new Intl.DateTimeFormat("en-GB", { day: "numeric",
    month: "short", timeZone: "UTC" });
const moment = new Intl.DateTimeFormat("en-GB", { day: "numeric",
    month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });


export function label(day) {
    return short.format(number(day));
}


export function when(time) {
    return moment.format(Date.parse(time)) + " UTC";
}


export function age(seconds) {
    for (const [unit, size] of [ [ "d", 86400 ], [ "h", 3600 ],
                                 [ "min", 60 ] ])
    {
        if (seconds >= 2 * size || unit === "min") {
            return `${Math.floor(seconds / size)} ${unit}`;
        }
    }
}

/*
 * Elements from words, never from markup: what tenants have written is text
 * here, whatever it looks like.
 */


export function $(id) {
    return document.getElementById(id);
}


/* h("td", { class: "number" }, "1", h("b", {}, "2")) */

export function h(name, attributes, ...children) {
    const element = document.createElement(name);

    for (const [key, value] of Object.entries(attributes || {})) {

        if (key.startsWith("on")) {
            element.addEventListener(key.slice(2), value);

        } else if (value === true) {
            element.setAttribute(key, "");

        } else if (value !== false && value != null) {
            element.setAttribute(key, value);
        }
    }

    element.append(...children.flat().filter((child) => child != null));

    return element;
}


export function fill(element, ...children) {
    element.replaceChildren(...children.flat().filter(Boolean));
}


/* for those who hear the page */

export function say(text) {
    const status = $("status");

    status.textContent = text;
    status.classList.toggle("shown", text !== "");

    clearTimeout(say.timer);
    say.timer = setTimeout(() => status.classList.remove("shown"), 6000);
}


export function table(caption, columns, rows, foot) {
    const cells = (row, header) => columns.map((column, i) => {
        const first = i === 0;

        return h(first || header ? "th" : "td", {
            scope: header ? "col" : first ? "row" : null,
            class: column.number ? "number" : null,
        }, header ? column.title : column.cell(row));
    });

    return h("div", { class: "scroll", tabindex: 0, role: "region",
                      "aria-label": caption },
        h("table", {},
            h("caption", { class: "unseen" }, caption),
            h("thead", {}, h("tr", {}, cells(null, true))),
            h("tbody", {}, rows.map((row) => h("tr", {}, cells(row)))),
            foot ? h("tfoot", {}, h("tr", {}, cells(foot))) : null));
}


/* what a card says while it has nothing, and when it can't have it */

export async function load(element, work) {
    element.setAttribute("aria-busy", "true");

    if (!element.firstChild) {
        fill(element, h("p", { class: "muted loading" }, "Loading …"));
    }

    try {
        await work();

    } catch (error) {
        if (error.name !== "AbortError") {
            fill(element, h("p", { class: "error", role: "alert" },
                            error.message),
                 h("button", { type: "button",
                               onclick: () => load(element, work) },
                   "Try again"));
        }

    } finally {
        element.removeAttribute("aria-busy");
    }
}


export function empty(text) {
    return h("p", { class: "empty" }, text);
}

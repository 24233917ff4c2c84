/*
 * The operator's API, at "../" of the page.  The token is a variable of this
 * file and of nothing else: no storage, no cookie, no address has it.
 */


const AT_ONCE = 3;              /* a worker runs four commands at a time */
const TRIES = 6;

let token = null;
let running = 0;
const waiting = [];


export class Refused extends Error {
    constructor(status, code, detail, id) {
        super(detail);

        this.status = status;
        this.code = code;
        this.id = id;
    }
}


export function signIn(text) {
    token = text;
}


export function signOut() {
    token = null;
}


/* whoever asks when the token isn't taken any more */

export const hooks = { unauthorized() { } };


async function place() {
    if (running >= AT_ONCE) {
        await new Promise((resolve) => waiting.push(resolve));
    }

    running++;
}


function leave() {
    running--;
    waiting.shift()?.();
}


function pause(seconds) {
    return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}


/* who has signed out meanwhile is told nothing any more */

function still(mine) {
    if (mine !== token) {
        throw new DOMException("signed out", "AbortError");
    }
}


async function ask(path, options) {
    const mine = token;
    let response;

    await place();

    try {
        still(mine);

        response = await fetch("../" + path, {
            cache: "no-store",
            credentials: "same-origin",
            redirect: "error",
            ...options,
            headers: { Authorization: "Bearer " + mine,
                       ...options.headers },
        });

        if (response.ok) {
            const text = await response.text();

            still(mine);

            return { response, text };
        }

    } catch (error) {
        if (error.name === "AbortError") {
            throw error;
        }

        throw new Refused(0, "UNREACHABLE", "The gateway doesn\u2019t answer.");

    } finally {
        leave();
    }

    const said = await refusal(response);

    still(mine);

    return { response, refusal: said };
}


async function refusal(response) {
    let said = {};

    try {
        said = await response.json();

    } catch {
        /* not from the API */
    }

    return new Refused(response.status, said.code || "",
                       said.detail || `The gateway answers ${response.status}.`,
                       said.request_id);
}


function address(path, params) {
    const query = new URLSearchParams();

    for (const [name, value] of Object.entries(params || {})) {
        if (value != null && value !== "") {
            query.set(name, value);
        }
    }

    const text = query.toString();

    return text ? `${path}?${text}` : path;
}


/* a full house is asked again; reading twice changes nothing */

export async function read(path, params, signal) {
    for (let i = 1; /* void */; i++) {
        const { response, text, refusal } = await ask(address(path, params),
                                                      { signal });

        if (!refusal) {
            return { response, text };
        }

        if (refusal.status === 401) {
            hooks.unauthorized();
        }

        if (refusal.status !== 503 || i === TRIES) {
            throw refusal;
        }

        await pause(Number(response.headers.get("Retry-After")) || 1);
    }
}


export async function get(path, params, signal) {
    return JSON.parse((await read(path, params, signal)).text);
}


/* all rows of a list, at most so many */

export async function list(path, params, most = 1000) {
    const rows = [];
    let cursor = null;

    do {
        const page = await get(path, { limit: Math.min(most, 1000), ...params,
                                       cursor });

        rows.push(...page.rows);
        cursor = page.next;

    } while (cursor && rows.length < most);

    return { rows, more: cursor != null };
}


/* once: whoever isn't answered looks at the books before he tries again */

export async function post(path, params) {
    const { text, refusal } = await ask(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(params),
    });

    if (refusal) {
        if (refusal.status === 401) {
            hooks.unauthorized();
        }

        throw refusal;
    }

    return JSON.parse(text);
}

/*
 * Charts: lines and bars by uPlot, a legend that reads what the pointer or the
 * arrow keys are on, and the same numbers in a table behind each.
 */


import uPlot from "uplot";

import { fill, h, say, table } from "./dom.js";
import * as days from "./days.js";


const HEIGHT = 236;
const DASHES = [ [], [ 7, 4 ], [ 2, 3 ], [ 9, 3, 2, 3 ], [ 4, 2 ], [ 12, 4 ] ];

const charts = new Map();       /* element -> { plot, draw } */


function colour(name) {
    const probe = h("span", { class: "probe-" + name, hidden: true });

    document.body.append(probe);

    const value = getComputedStyle(probe).color;

    probe.remove();

    return value;
}


function faint(rgb, alpha) {
    return rgb.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}


/* series: { name, colour, values, format, bars, scale }, a value for each day */

export function chart(element, options) {
    const old = charts.get(element);

    const open = element.querySelector("details")?.open;

    old?.observer.disconnect();
    old?.plot?.destroy();

    const state = { options, plot: null, at: null };

    state.legend = h("ul", { class: "legend", "aria-hidden": "true" });
    state.box = h("div", { class: "plot", tabindex: 0, role: "img",
                           "aria-label": options.label
                               + " Arrow keys read it day by day; the table"
                               + " below has all of it.",
                           onkeydown: (event) => key(state, event) });
    state.observer = new ResizeObserver(() => resize(state));

    charts.set(element, state);

    fill(element, state.legend, state.box,
         h("details", { open }, h("summary", {}, "As a table"),
           table(options.caption, columns(options),
                 options.days.map((day, i) => i))));

    draw(state);
    state.observer.observe(state.box);
}


export function redraw() {
    for (const state of charts.values()) {
        draw(state);
    }
}


function columns(options) {
    return [
        { title: "Day", cell: (i) => options.days[i] },
        ...options.series.map((series) => ({
            title: series.name, number: true,
            cell: (i) => series.format(series.values[i]),
        })),
    ];
}


function draw(state) {
    const { options, box } = state;
    const text = colour("muted");
    const grid = { stroke: colour("grid"), width: 1 };
    const width = box.clientWidth || 300;

    state.plot?.destroy();

    for (const series of options.series) {
        series.rgb = colour(series.colour);
    }

    const axis = (scale, format, side) => ({
        scale, side, stroke: text, font: "12px system-ui, sans-serif",
        grid: side === 1 ? { show: false } : grid, ticks: { show: false },
        size: 52, gap: 6,
        values: (plot, marks) => marks.map((mark) => format(mark)),
    });

    const axes = [ {
        stroke: text, font: "12px system-ui, sans-serif",
        grid: { show: false }, ticks: grid, size: 32, gap: 6, space: 64,
        values: (plot, marks) => marks.map((mark) => days.label(
            days.text(mark * 1000))),
        incrs: [ 1, 2, 3, 5, 7, 14, 28 ].map((n) => n * 86400),
    }, axis("y", options.axis, 3) ];

    if (options.right) {
        axes.push(axis("right", options.right, 1));
    }

    state.plot = new uPlot({
        width, height: HEIGHT, axes,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        padding: [ 10, options.right ? 0 : 12, 0, 0 ],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false },
                  points: { size: 7 } },
        scales: {
            x: { range: (plot, low, high) => options.right
                 ? [ low - 43200, high + 43200 ] : [ low, high ] },
            y: { range: (plot, low, high) => [ Math.min(0, low || 0),
                                               high > 0 ? high * 1.08 : 1 ] },
            right: { range: () => [ 0, 100 ] },
        },
        series: [ {}, ...options.series.map((series, i) => line(series, i,
            options)) ],
        hooks: { setCursor: [ (plot) => read(state, plot.cursor.idx) ] },
    }, [ options.days.map((day) => days.number(day) / 1000),
         ...options.series.map((series) => series.values) ], box);

    /* the colours may be others */

    state.at = undefined;
    read(state, null);
}


function line(series, i, options) {
    const common = { label: series.name, scale: series.scale || "y",
                     stroke: series.rgb };

    if (series.bars) {
        return { ...common, width: 0, points: { show: false },
                 fill: faint(series.rgb, series.bars),
                 paths: uPlot.paths.bars({ size: [ 0.7, 40 ], radius: 0.15 }) };
    }

    return { ...common, width: 2, dash: DASHES[series.dash ?? i % 6],
             fill: i === 0 && options.area ? faint(series.rgb, 0.1) : null,
             spanGaps: true,
             points: { show: options.days.length < 10, size: 6,
                       fill: series.rgb } };
}


/* the legend has the day under the cursor, or the names alone */

function read(state, at) {
    const { options, legend } = state;

    if (state.at === at && legend.firstChild) {
        return;
    }

    state.at = at;

    fill(legend, options.series.map((series, i) => {
        const swatch = h("i", { class: "swatch" + (series.bars ? " bar" : "") });

        swatch.style.borderTopColor = series.rgb;
        swatch.style.borderTopStyle = series.bars ? "solid"
            : DASHES[series.dash ?? i % 6].length ? "dashed" : "solid";

        return h("li", {}, swatch, series.name,
                 at == null ? null
                 : h("b", {}, series.format(series.values[at])));
    }), h("li", { class: "day" },
          at == null ? "" : days.label(options.days[at])));
}


function key(state, event) {
    const last = state.options.days.length - 1;
    const at = state.at;

    const to = { ArrowRight: at == null ? 0 : Math.min(at + 1, last),
                 ArrowLeft: at == null ? last : Math.max(at - 1, 0),
                 Home: 0, End: last }[event.key];

    if (to === undefined) {
        return;
    }

    event.preventDefault();

    const { plot, options } = state;

    plot.setCursor({ left: plot.valToPos(plot.data[0][to], "x"), top: 10 });
    read(state, to);

    say(days.label(options.days[to]) + ": " + options.series.map((series) =>
        `${series.name} ${series.format(series.values[to])}`).join(", "));
}


function resize(state) {
    const width = state.box.clientWidth;

    if (width && state.plot && width !== state.plot.width) {
        state.plot.setSize({ width, height: HEIGHT });
    }
}

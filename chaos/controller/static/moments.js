// The ticks of every second: key figures, sparklines of two minutes, charts of the run.
import { $, percent, setText, shade, svg } from "./dom.js";

const KEPT = 900;
const SPARK_S = 120;
const IDLE_S = 300;
const SPARK = { width: 140, height: 28 };
const CHART_HEIGHT = { "chart-success": 170, "chart-work": 250, "chart-backlog": 110 };
let ticks = [];
const charts = new Map();

export const newest = () => ticks[ticks.length - 1];

export function load(list) { ticks = list.slice(-KEPT); draw(); }

export function add(tick) {
  if (ticks.length && ticks[ticks.length - 1].run !== tick.run && tick.run) ticks = [];
  ticks.push(tick);
  if (ticks.length > KEPT) ticks.shift();
  draw();
}

function figure(id, text, tone) {
  setText($(id), text);
  $(id).className = tone || "";
}

function draw() {
  const now = newest();
  if (!now) return;
  figure("f-provisioning", percent(now.total.provisioning), shade(now.total.provisioning));
  figure("f-identity", percent(now.total.identity), shade(now.total.identity));
  const ampl = now.amplification;
  figure("f-amplification", ampl === null ? "–" : `×${ampl.toFixed(1)}`, ampl > 3 ? "bad" : ampl > 1.5 ? "warn" : "");
  figure("f-backlog", now.backlog, "");
  figure("f-nodes", now.nodes_up, "");
  if (!document.hidden) drawCharts(now);
}

export function spark(region, side) {
  const past = ticks.filter((tick) => tick.at > newest().at - SPARK_S);
  const points = past.map((tick) => [tick.at, tick.regions[region]?.[side]]);
  return points;
}

export function drawSpark(node, points, until) {
  let path = "", pen = false;
  for (const [at, ratio] of points) {
    if (ratio === null || ratio === undefined) { pen = false; continue; }
    const x = SPARK.width * (1 - (until - at) / SPARK_S), y = 2 + (SPARK.height - 4) * (1 - ratio);
    path += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = true;
  }
  node.querySelector("path").setAttribute("d", path);
}

export function newSpark() {
  const made = svg("svg", { class: "spark", viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  made.append(svg("line", { x1: 0, x2: SPARK.width, y1: SPARK.height - 1, y2: SPARK.height - 1 }), svg("path"));
  return made;
}

const SERIES = {
  "chart-success": [
    ["identity", "identity", (tick) => scale(tick.total.identity)],
    ["provisioning", "provisioning", (tick) => scale(tick.total.provisioning)],
  ],
  "chart-work": [
    ["offered", "attempts (offered load)", (tick) => tick.offered_per_s],
    ["good", "goodput: before the timeout", (tick) => tick.good_per_s],
    ["wasted", "wasted: after the timeout", (tick) => tick.wasted_per_s],
  ],
  "chart-backlog": [["backlog", "jobs", (tick) => tick.backlog]],
};
const UNDER = new Set(["offered", "identity"]);
// Drawn wider, so that they stay visible under the lines that coincide with them when healthy.
const scale = (ratio) => (ratio === null ? null : ratio * 100);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function drawCharts(now) {
  const shown = now.run ? ticks.filter((tick) => tick.run === now.run) : ticks.filter((tick) => !tick.run && tick.at > now.at - IDLE_S);
  const x = shown.map((tick) => (now.run ? tick.t : Math.round(tick.at - now.at)));
  for (const [id, series] of Object.entries(SERIES)) {
    const data = [x, ...series.map(([, , value]) => shown.map(value))];
    const chart = charts.get(id) || make(id, series, data);
    setText($("c-" + id.slice(6)), title(id, now));
    chart.setData(data);
    fit(id, chart);
  }
}

function title(id, now) {
  const span = now.run ? "τ in bench seconds" : "the last five minutes";
  return { "chart-success": `Success, percent, ${span}`, "chart-work": `Load and work per second, ${span}`, "chart-backlog": `Jobs waiting, ${span}` }[id];
}

function fit(id, chart) {
  const width = Math.max(200, $(id).clientWidth);
  if (chart.width !== width) chart.setSize({ width, height: CHART_HEIGHT[id] });
}

function make(id, series, data) {
  const axis = { stroke: () => colour("soft"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, size: 42, font: "12px system-ui" };
  const percentages = id === "chart-success";
  const chart = new uPlot({
    width: Math.max(200, $(id).clientWidth),
    height: CHART_HEIGHT[id],
    scales: { x: { time: false }, y: { range: percentages ? [-2, 104] : (_u, _least, most) => [0, Math.max(10, most * 1.05)] } },
    cursor: { show: false },
    legend: { live: false },
    axes: [{ ...axis, size: 24 }, axis],
    series: [{}, ...series.map(([name, label]) => ({ label, stroke: () => colour(name), width: UNDER.has(name) ? 7 : 2.5, points: { show: false }, value: (_u, v) => (v === null ? "–" : Math.round(v)) }))],
  }, data, $(id));
  charts.set(id, chart);
  return chart;
}

window.addEventListener("resize", () => { for (const [id, chart] of charts) fit(id, chart); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const chart of charts.values()) chart.redraw(); });

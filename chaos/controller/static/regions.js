// The region table. Rows are created once and then updated in place, so that buttons keep the focus.
import { call } from "./api.js";
import { $, el, keyed, percent, setText, shade } from "./dom.js";
import { drawSpark, newest, newSpark, spark } from "./moments.js";

const RAMP = { mode: "ramp", over_s: 30, hold_s: 8 };
let regions = [];

export function draw(list, act) {
  regions = list;
  keyed($("regions"), list, (region) => region.name, (region) => row(region, act), update);
  redraw();
}

const cell = (label, ...children) => el("td", { role: "cell", "data-label": label }, ...children);

function row(region, act) {
  const success = () => el("div", { class: "success" }, el("b", { class: "none" }, "–"), newSpark());
  const button = (name, work) => el("button", { type: "button", "data-do": name, onclick: () => act(work) });
  const path = `/v1/regions/${region.name}`;
  const now = () => regions.find((one) => one.name === region.name);
  const buttons = el("div", { class: "row" },
    button("access", () => call("PUT", `${path}/anonymous-access`, { enabled: now().exempt_private > 0 })),
    button("traffic", () => call("PUT", `${path}/traffic`, now().traffic === "drain" ? RAMP : { mode: "drain" })),
    button("node", () => call("POST", "/v1/operations/scale", { region: region.name, count: 1 })));
  return el("tr", { role: "row" },
    el("th", { role: "rowheader", scope: "row" }, region.display),
    cell("provisioning", success()), cell("identity", success()), cell("accounts"), cell("nodes"), cell("traffic"), cell("actions", buttons));
}

function label(node, text, region) {
  setText(node, text);
  node.setAttribute("aria-label", `${text}, ${region.display}`);
}

function update(node, region) {
  const [accounts, nodes, traffic, buttons] = [...node.querySelectorAll("td")].slice(2);
  const total = region.exempt_private + region.exempt_public;
  setText(accounts, !region.reachable ? "no answer" : region.exempt_private ? `${region.exempt_private} of ${total} private` : "all public");
  accounts.className = !region.reachable || region.exempt_private ? "bad" : "";
  setText(nodes, region.nodes);
  setText(traffic, region.traffic);
  traffic.className = region.traffic === "open" ? "" : "warn";
  const [access, flow, add] = buttons.querySelectorAll("button");
  label(access, region.exempt_private ? "Access on" : "Access off", region);
  label(flow, region.traffic === "drain" ? "Ramp" : "Drain", region);
  label(add, "+1 node", region);
}

export function redraw() {
  const now = newest();
  if (!now) return;
  for (const node of $("regions").children) {
    const seen = now.regions[node.dataset.key] || {};
    ["provisioning", "identity"].forEach((side, place) => {
      const shown = node.querySelectorAll(".success")[place];
      const figure = shown.querySelector("b");
      setText(figure, percent(seen[side]));
      figure.className = shade(seen[side]);
      drawSpark(shown.querySelector("svg"), spark(node.dataset.key, side), now.at);
    });
  }
}

// The form for a fault, generated from the catalogue, and the list of active faults.
import { call } from "./api.js";
import { $, el, keyed, setText } from "./dom.js";

let catalogue = [];

export async function open(regions, act) {
  catalogue = (await call("GET", "/v1/faults/catalogue")).faults;
  $("fault-kind").replaceChildren(...catalogue.map((fault) => el("option", { value: fault.kind }, fault.kind.replaceAll("_", " "))));
  $("fault-kind").value = "latency";
  const services = [...new Set([...regions.flatMap((region) => Object.keys(region.urls)), "identity", "loadgen"])].sort();
  $("fault-service").replaceChildren(el("option", { value: "" }, "any"), ...services.map((name) => el("option", { value: name }, name)));
  $("fault-region").replaceChildren(el("option", { value: "" }, "any"), ...regions.map((region) => el("option", { value: region.name }, region.display)));
  const groups = await call("GET", "/prometheus/targets");
  $("instances").replaceChildren(...groups.map((group) => el("option", { value: group.labels.instance })));
  $("fault-kind").onchange = drawParameters;
  $("fault").onsubmit = (event) => { event.preventDefault(); act(inject); };
  $("fault-dry").onclick = () => $("fault").reportValidity() && act(dryRun);
  drawParameters();
}

const chosen = () => catalogue.find((fault) => fault.kind === $("fault-kind").value);

function drawParameters() {
  const { parameters, summary, level } = chosen();
  setText($("fault-summary"), `${summary} ${level === "service" ? "Applied by the services to their own requests." : "Applied to processes from outside."}`);
  const required = parameters.required || [];
  $("fault-parameters").replaceChildren(...Object.entries(parameters.properties || {}).map(([name, schema]) => field(name, schema, required.includes(name))));
}

function field(name, schema, required) {
  const kind = schema.anyOf?.find((one) => one.type !== "null") || schema;
  const common = { "data-parameter": name, "data-type": kind.type, required, title: schema.description || "" };
  let input;
  if (kind.enum) {
    input = el("select", common, ...kind.enum.map((value) => el("option", { value }, value)));
  } else if (kind.type === "boolean") {
    input = el("select", common, el("option", { value: "true" }, "yes"), el("option", { value: "false" }, "no"));
  } else if (kind.type === "number" || kind.type === "integer") {
    const above = kind.exclusiveMinimum;
    input = el("input", { ...common, type: "number", step: kind.type === "integer" ? 1 : "any", min: kind.minimum ?? above, max: kind.maximum });
  } else {
    input = el("input", { ...common, type: "text", autocomplete: "off" });
  }
  if (schema.default !== undefined && schema.default !== null) input.value = String(schema.default);
  const hint = schema.description ? el("span", {}, schema.description) : "";
  return el("label", {}, `${name.replaceAll("_", " ")} `, input, hint);
}

function spec() {
  const parameters = {};
  for (const input of document.querySelectorAll("[data-parameter]")) {
    if (input.value === "") continue;
    const type = input.dataset.type;
    parameters[input.dataset.parameter] = type === "number" || type === "integer" ? Number(input.value) : type === "boolean" ? input.value === "true" : input.value;
  }
  return {
    kind: $("fault-kind").value,
    target: { service: $("fault-service").value, region: $("fault-region").value, instance: $("fault-instance").value.trim(), account: $("fault-account").value.trim() },
    parameters,
    probability: Number($("fault-probability").value),
    lease_s: Number($("fault-lease").value),
  };
}

async function dryRun() {
  setText($("fault-said"), "");
  const { instances } = await call("POST", "/v1/faults?dry_run=1", spec());
  setText($("fault-said"), instances.length ? `Would affect ${instances.length}: ${instances.join(", ")}. Nothing was started.` : "Would affect the store. Nothing was started.");
}

async function inject() {
  setText($("fault-said"), "");
  const started = await call("POST", "/v1/faults", spec());
  setText($("fault-said"), `${started.id} started.`);
}

const words = (target) => Object.values(target).filter(Boolean).join(" ") || "any";

export function draw(list, act) {
  $("no-faults").hidden = list.length > 0;
  $("faults").parentElement.hidden = list.length === 0;
  keyed($("faults"), list, (fault) => fault.id, (fault) => {
    const cells = ["kind", "target", "effects", "left"].map((label) => el("td", { role: "cell", "data-label": label }));
    const end = el("button", { type: "button", "aria-label": `End ${fault.id}, ${fault.kind}`, onclick: () => act(() => call("DELETE", "/v1/faults/" + encodeURIComponent(fault.id))) }, "End");
    return el("tr", { role: "row" }, el("th", { role: "rowheader", scope: "row" }, fault.id), ...cells, el("td", { role: "cell", "data-label": "actions" }, end));
  }, (node, fault) => {
    const left = Math.max(0, Math.round(fault.left_s));
    [fault.kind.replaceAll("_", " "), words(fault.target), fault.effects, `${left} s`].forEach((text, place) => setText(node.querySelectorAll("td")[place], text));
  });
}

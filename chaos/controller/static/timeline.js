// The event list, newest first.
import { $, el } from "./dom.js";

const KEPT = 300;
const BY = ["operators", "policy job", "fault", "alert", "report", "testbed"];
const hidden = new Set();
let zero = null;

export function open() {
  $("filters").replaceChildren(...BY.map((by) => {
    const box = el("input", { type: "checkbox", checked: true });
    box.onchange = () => { box.checked ? hidden.delete(by) : hidden.add(by); apply(); };
    return el("label", {}, box, by);
  }));
}

export const startAt = (epoch) => { zero = epoch || null; };
export const clear = () => $("events").replaceChildren();

function apply() {
  for (const item of $("events").children) item.hidden = hidden.has(item.dataset.by);
}

export function add(event) {
  const said = event.said;
  if (!said) return;
  const list = $("events");
  const when = zero && event.at >= zero - 60 ? `τ ${Math.round(event.at - zero)}` : new Date(event.at * 1000).toISOString().slice(11, 19);
  const words = `${said.row} ${said.text}`.trim();
  const item = el("li", { "data-by": said.by, class: said.tone }, el("time", {}, when), el("span", { class: "by" }, said.by), el("span", { class: said.tone }, words));
  item.hidden = hidden.has(said.by);
  list.prepend(item);
  while (list.children.length > KEPT) list.lastChild.remove();
}

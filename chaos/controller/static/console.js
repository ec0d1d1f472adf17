// The console: asks for a token, follows the event stream, updates the page, and sends the operator's actions.
import { call, follow, keepToken, token } from "./api.js";
import { $, el, keyed, setText } from "./dom.js";
import * as faults from "./faults.js";
import * as moments from "./moments.js";
import * as regions from "./regions.js";
import * as timeline from "./timeline.js";

const REFRESH_MS = 2000;
const VERDICTS = { as_expected: "as expected", contradicted: "contradicted", could_not_judge: "could not judge", "not judged": "not judged" };
const OVER = ["done", "failed", "aborted"];
let running = false, polling = 0, state = {}, lastRun = "";

async function act(work) {
  setText($("say"), "");
  try {
    await work();
    await refresh();
  } catch (error) {
    if (error.status === 401) ask("This token is not valid.");
    else setText($("say"), error.message);
  }
}

function ask(why = "") {
  setText($("ask-said"), why);
  if (!$("ask").open) $("ask").showModal();
  $("token").focus();
}

function drawHead() {
  const now = moments.newest(), run = state.run, live = run && !OVER.includes(run.state);
  const tau = now && now.run ? `τ ${Math.round(now.t)} s` : "";
  setText($("clock"), live ? (now?.run && now.clock) || tau || run.state : "no run");
  setText($("phase"), live && now?.run ? [now.clock ? tau : "", now.phase].filter(Boolean).join("  ") : "");
  setText($("state"), run ? `${run.scenario}: ${run.state}${run.why ? ", " + run.why : ""}` : "");
  $("progress").hidden = !live;
  if (live && now?.run) $("progress").value = Math.min(1, Math.max(0, now.t / run.duration_s));
  $("abort").disabled = !live;
  $("start").disabled = Boolean(live);
}

function drawBanner(banner) {
  $("banner").hidden = !banner;
  if (!banner) return;
  setText($("banner-text"), banner.text);
  const remedy = banner.remedy;
  $("banner-remedy").hidden = !remedy;
  if (remedy) {
    setText($("banner-remedy"), remedy.label);
    $("banner-remedy").onclick = () => act(() => call(remedy.method, remedy.path));
  }
}

function drawJob(job) {
  const done = job?.deploymentStatus;
  setText($("job"), job ? `${job.provisioningState}${done.totalDeployments ? `, ${done.successfulDeployments} of ${done.totalDeployments} accounts changed` : ""}` : "not started");
  $("job-cancel").disabled = job?.provisioningState !== "Evaluating" && job?.provisioningState !== "Accepted";
}

async function refresh() {
  state = await call("GET", "/v1/status");
  timeline.startAt(state.run && !OVER.includes(state.run.state) ? state.run.zero_epoch_s : null);
  drawHead();
  drawBanner(state.banner);
  drawJob(state.remediation);
  if (document.activeElement !== $("load")) $("load").value = state.load.profile;
  regions.draw(state.regions, act);
  const list = state.faults.length ? (await call("GET", "/v1/faults")).faults : [];
  faults.draw(list, act);
  const run = state.run ? state.run.id + state.run.state : "";
  if (run !== lastRun) { lastRun = run; await drawRuns(); }
}

async function drawMitigations() {
  const list = (await call("GET", "/v1/mitigations")).mitigations;
  keyed($("mitigations"), list, (one) => one.id, (one) => {
    const button = el("button", { type: "button", role: "switch", onclick: () => act(async () => {
      await call("PUT", "/v1/mitigations/" + one.id, { on: button.getAttribute("aria-checked") !== "true" });
      await drawMitigations();
    }) });
    button.disabled = !one.switchable;
    return el("li", {}, el("details", {}, el("summary", {}, `${one.title} (${one.id})`), one.changes), button);
  }, (node, one) => {
    const button = node.querySelector("button");
    button.setAttribute("aria-checked", String(one.on));
    button.setAttribute("aria-label", one.title);
    setText(button, !one.switchable ? "from the start only" : one.on ? "on" : "off");
  });
}

const stamp = (id) => (id.match(/\d{8}T\d{6}/) || [""])[0];

async function drawRuns() {
  const list = (await call("GET", "/v1/runs")).runs.sort((a, b) => stamp(b.id).localeCompare(stamp(a.id)));
  $("no-runs").hidden = list.length > 0;
  keyed($("runs"), list, (run) => run.id, (run) => el("li", {}, el("span", {}, run.id), el("span", { class: "verdict" }), el("span", { class: "report" })), (node, run) => {
    const verdict = node.querySelector(".verdict"), report = node.querySelector(".report");
    setText(verdict, VERDICTS[run.status] || run.status);
    verdict.className = "verdict " + ({ as_expected: "good", contradicted: "bad" }[run.status] || "soft");
    if (run.status !== "not judged" && !report.firstChild) {
      report.append(el("a", { href: `/v1/runs/${encodeURIComponent(run.id)}/report`, target: "_blank", rel: "noopener", "aria-label": `report of ${run.id}` }, "report"));
    }
  });
}

function take(event) {
  if (event.kind !== "tick") { timeline.add(event); if (event.kind === "run") refresh().catch(() => {}); return; }
  moments.add(event);
  regions.redraw();
  drawHead();
}

async function began() {
  setText($("link"), "live");
  $("link").className = "good";
  timeline.clear();
  moments.load((await call("GET", "/v1/ticks")).ticks);
  regions.redraw();
  drawHead();
}

function lost() {
  setText($("link"), "not connected; figures are stale");
  $("link").className = "bad";
}

async function open() {
  await refresh();
  if (running) return;
  running = true;
  await call("GET", "/v1/session");
  const list = (await call("GET", "/v1/scenarios")).scenarios;
  $("scenario").replaceChildren(...list.map((one) => new Option(`${one.title} (${one.name}, ${Math.round(one.duration_s)} s)`, one.name, false, one.name.endsWith("short"))));
  await faults.open(state.regions, act);
  await drawMitigations();
  follow({ began, take, lost }).catch(() => { running = false; ask("This token is not valid."); });
  if (!polling) polling = setInterval(() => refresh().catch((error) => { if (error.status === 401) ask("This token is not valid."); else lost(); }), REFRESH_MS);
}

const DO = {
  start: () => call("POST", "/v1/runs", { scenario: $("scenario").value }),
  abort: () => call("DELETE", "/v1/runs/current"),
  "job-start": () => call("POST", "/v1/remediation", {}),
  "job-cancel": () => call("DELETE", "/v1/remediation"),
  "all-off": () => call("PUT", "/v1/anonymous-access", { enabled: false }),
  "all-on": () => call("PUT", "/v1/anonymous-access", { enabled: true }),
  calm: () => call("POST", "/v1/reset"),
};
for (const [id, work] of Object.entries(DO)) $(id).addEventListener("click", () => act(work));
$("load").addEventListener("change", () => act(() => call("PUT", "/v1/load", { profile: $("load").value })));
$("change-token").addEventListener("click", () => ask());
$("ask-form").addEventListener("submit", () => { keepToken($("token").value); $("token").value = ""; act(open); });
$("ask").addEventListener("cancel", (event) => { if (!token()) event.preventDefault(); });

timeline.open();
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) { keepToken(given); history.replaceState(null, "", location.pathname); }
if (token()) act(open); else ask();

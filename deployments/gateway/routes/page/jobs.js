// The jobs that this browser has sent, and the one that is shown.

import { Problem, call, follow, getJson } from "./api.js";
import { byId, make, tell } from "./dom.js";
import { clearResult, showResult } from "./result.js";
import { t } from "./words.js";

const LIST = "c500-jobs";
const MOST = 50;
const POLL_MS = 4000;
const STATES = {
  PENDING: "waiting",
  PREPROCESSING: "preparing the audio",
  PROCESSING_ASR: "listening",
  PROCESSING_LLM: "writing",
  COMPLETE: "done",
  FAILED: "failed",
};

const statuses = new Map();
let shown = null;
let showing = new AbortController();

const finished = (status) => ["COMPLETE", "FAILED", "GONE"].includes(status?.status);

function kept() {
  try {
    return JSON.parse(localStorage.getItem(LIST)) ?? [];
  } catch {
    return [];
  }
}

const keep = (jobs) => localStorage.setItem(LIST, JSON.stringify(jobs.slice(0, MOST)));

/** Put a new job at the head of the list and show it. */
export function addJob(id, name) {
  keep([{ id, name }, ...kept().filter((job) => job.id !== id)]);
  open(id);
}

function words(status) {
  if (!status) return "…";
  if (status.status === "GONE") return t("not found with this key");
  if (status.error_code === "CANCELLED") return t("cancelled");
  const step = status.progress?.step;
  return t(STATES[status.status] ?? status.status) + (step && !finished(status) ? ` (${step})` : "");
}

function percent(status) {
  const share = finished(status) ? null : status?.progress?.share;
  return share == null ? "" : `${Math.round(share * 100)} %`;
}

/** Say how the shown job goes: read out by screen readers, so only when it is something new. */
function say(text) {
  if (byId("job-status").textContent !== text) byId("job-status").textContent = text;
}

/** What the list needs of a status, which may hold hours of words. */
const brief = ({ status, error_code, progress }) => ({ status, error_code, progress });

/** Draw the list anew; the focus stays where it is. */
export function drawList() {
  const jobs = kept();
  byId("no-jobs").hidden = jobs.length > 0;
  const focused = document.activeElement?.dataset?.focus;
  byId("jobs").replaceChildren(...jobs.map(jobItem));
  if (focused) document.querySelector(`#jobs [data-focus="${CSS.escape(focused)}"]`)?.focus();
}

function jobItem({ id, name }) {
  const state = make("span", { className: "state", textContent: `${words(statuses.get(id))} ${percent(statuses.get(id))}` });
  const chosen = make("button", { type: "button", className: "open" }, name, state);
  chosen.dataset.focus = `open-${id}`;
  chosen.setAttribute("aria-current", String(id === shown));
  chosen.addEventListener("click", () => open(id));
  const remove = make("button", { type: "button", textContent: "✕" });
  remove.dataset.focus = `remove-${id}`;
  remove.setAttribute("aria-label", `${t("Remove from the list")}: ${name}`);
  remove.addEventListener("click", () => {
    keep(kept().filter((job) => job.id !== id));
    if (id === shown) close();
    drawList();
    byId("list-title").tabIndex = -1;
    byId("list-title").focus();
  });
  return make("li", {}, chosen, remove);
}

/** Forget how the jobs go: another key may see others of them. */
export function forgetAll() {
  statuses.clear();
  close();
  drawList();
}

/** Show no job. */
function close() {
  showing.abort();
  shown = null;
  clearResult();
  const title = byId("job-title");
  title.dataset.t = "No job chosen";
  title.textContent = t(title.dataset.t);
  say("");
  byId("job-progress").hidden = true;
  tell("result-error");
}

/** Show a job, and go on showing how it goes until it ends. */
export async function open(id) {
  close();
  showing = new AbortController();
  const { signal } = showing;
  shown = id;
  const title = byId("job-title");
  delete title.dataset.t;
  title.textContent = kept().find((job) => job.id === id)?.name ?? id;
  title.focus();
  drawList();
  try {
    await follow(id, (kind, data) => news(id, kind, data, signal), lost, signal);
  } catch (error) {
    if (!signal.aborted) fail(id, error);
  }
}

function news(id, kind, data, signal) {
  if (signal.aborted) return;
  const status = kind === "end" ? data : { ...data, progress: { step: data.step, share: data.share } };
  statuses.set(id, brief(status));
  draw(status);
  if (kind === "end" && status.status === "COMPLETE" && status.links)
    showResult(status, signal).catch((error) => signal.aborted || tell("result-error", error));
}

function draw(status) {
  say(words(status));
  byId("job-share").textContent = percent(status);
  const bar = byId("job-bar");
  const share = status.progress?.share;
  if (share == null) bar.removeAttribute("value");
  else bar.value = share;
  byId("job-progress").hidden = finished(status);
  tell("result-error", status.error ? { words: [status.error, status.fix].filter(Boolean).join("\n") } : null);
  drawList();
}

function lost() {
  say(t("The gateway cannot be reached; trying again."));
}

function fail(id, error) {
  if (error.status === 404) statuses.set(id, { status: "GONE" });
  byId("job-progress").hidden = true;
  say("");
  tell("result-error", error);
  drawList();
}

/** Cancel the job that is shown; its events tell what comes of it. */
export async function cancelShown() {
  const id = shown;
  byId("job-cancel").disabled = true;
  try {
    await call(`/v1/jobs/${id}`, { method: "DELETE" });
  } catch (error) {
    tell("result-error", error);
  } finally {
    byId("job-cancel").disabled = false;
  }
}

/** Ask now and then how the jobs go that are not shown. */
export async function watchOthers(keyInUse) {
  for (;;) {
    if (document.visibilityState === "visible") await askOthers(keyInUse);
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

async function askOthers(keyInUse) {
  const as = keyInUse();
  for (const { id } of kept()) {
    if (as === null || as !== keyInUse()) return; // forgotten meanwhile
    if (id === shown || finished(statuses.get(id))) continue;
    let found;
    try {
      found = brief(await getJson(`/v1/status/${id}`, { as }));
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 404) return;
      found = { status: "GONE" };
    }
    if (as !== keyInUse()) return;
    statuses.set(id, found);
    drawList();
  }
}

// A finished job: the transcript beside its audio, the summary, what to know, what to download.

import { call, getJson } from "./api.js";
import { byId, clock, make, tell } from "./dom.js";
import { t } from "./words.js";

const DOWNLOADS = /^(transcript\.(txt|srt|vtt|tsv|md|json)|summary\.json|waveform\.png)$/;

const audio = byId("audio");
let segments = [];
let current = -1;
let audioUrl = null;

/** Show nothing. */
export function clearResult() {
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
  if (audioUrl) URL.revokeObjectURL(audioUrl);
  audioUrl = null;
  segments = [];
  current = -1;
  for (const id of ["segments", "notices", "summary-text", "downloads", "figures", "audio-note"])
    byId(id).replaceChildren();
  byId("segments").lang = "";
  byId("result").hidden = true;
}

/** Show the result of a finished job; `signal` stops it when another is chosen. */
export async function showResult(status, signal) {
  byId("result").hidden = false;
  showNotices(status.notices);
  showSummary(status.results?.summary);
  showDownloads(status.links);
  showFigures(status.metrics);
  const corrected = "enhanced.json" in status.links;
  byId("texts").hidden = !corrected;
  const choice = byId("text-choice");
  choice.value = corrected ? "enhanced.json" : "transcript.json";
  choice.onchange = () => showText(status, choice.value, signal).catch((error) => tell("result-error", error));
  await Promise.all([showText(status, choice.value, signal), loadAudio(status, signal)]);
}

async function showText(status, name, signal) {
  const found = await getJson(status.links[name], { signal });
  const transcript = found.transcript ?? found;
  ({ segments } = transcript);
  byId("segments").lang = transcript.language === "und" ? "" : transcript.language;
  byId("segments").replaceChildren(...segments.map(segmentItem));
  byId("no-words").hidden = segments.length > 0;
  current = -1;
  markCurrent();
}

function segmentItem(segment) {
  const time = make("button", { type: "button", textContent: clock(segment.start_s) });
  time.setAttribute("aria-label", `${t("Play from")} ${clock(segment.start_s)}`);
  time.addEventListener("click", () => {
    audio.currentTime = segment.start_s;
    audio.play().catch(() => {}); // refused or no source: the note below the player says so
  });
  const words = make("p", { dir: "auto" });
  if (segment.speaker) words.append(make("span", { className: "speaker", textContent: segment.speaker }));
  words.append(segment.text);
  return make("li", {}, time, words);
}

async function loadAudio(status, signal) {
  byId("player").hidden = !status.metrics?.input_duration_seconds;
  if (byId("player").hidden) return;
  byId("audio-note").textContent = t("The audio is being fetched.");
  const recording = await (await call(`/v1/results/${status.task_id}/audio`, { signal })).blob();
  if (signal.aborted) return;
  audioUrl = URL.createObjectURL(recording);
  audio.src = audioUrl;
  byId("audio-note").textContent = "";
}

audio.addEventListener("error", () => {
  if (audioUrl) byId("audio-note").textContent = t("The audio cannot be played here.");
});

function markCurrent() {
  const now = audio.currentTime;
  // A little slack: a seek may land a sample before the time asked for.
  const at = audio.src ? segments.findLastIndex((one) => one.start_s <= now + 0.05 && now < one.end_s) : -1;
  if (at === current) return;
  const items = byId("segments").children;
  items[current]?.removeAttribute("aria-current");
  current = at;
  if (at < 0) return;
  items[at].setAttribute("aria-current", "true");
  if (!audio.paused) items[at].scrollIntoView({ block: "nearest" });
}

for (const event of ["timeupdate", "seeking", "seeked", "playing"]) audio.addEventListener(event, markCurrent);

function showNotices(notices = []) {
  byId("notices").replaceChildren(
    ...notices.map((notice) => make("p", { className: "notice", textContent: `${notice.step}: ${notice.message}` })),
  );
}

function showSummary(summary) {
  byId("summary").hidden = !summary;
  byId("summary-text").replaceChildren(...(summary ? [valueNode(summary)] : []));
}

function valueNode(value) {
  if (Array.isArray(value)) return make("ul", {}, ...value.map((one) => make("li", {}, valueNode(one))));
  if (value === null || typeof value !== "object") return make("p", { dir: "auto", textContent: String(value ?? "–") });
  const told = Object.entries(value).filter(([, one]) => one !== null && one !== "" && one.length !== 0);
  const rows = told.flatMap(([name, one]) => [
    make("dt", { textContent: name.replaceAll("_", " ") }),
    make("dd", {}, valueNode(one)),
  ]);
  return make("dl", {}, ...rows);
}

function showDownloads(links) {
  const names = Object.keys(links).filter((name) => DOWNLOADS.test(name));
  byId("downloads").replaceChildren(
    ...names.map((name) => {
      const button = make("button", { type: "button", textContent: name });
      button.addEventListener("click", () => download(links[name], name).catch((error) => tell("result-error", error)));
      return make("li", {}, button);
    }),
  );
}

async function download(path, name) {
  const url = URL.createObjectURL(await (await call(path)).blob());
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function showFigures(metrics) {
  if (!metrics) return;
  byId("figures").textContent =
    `${t("recording")} ${clock(metrics.input_duration_seconds)} · ` +
    `${t("processing")} ${metrics.processing_time_seconds.toFixed(1)} s`;
}

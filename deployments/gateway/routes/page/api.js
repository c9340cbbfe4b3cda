// Calls of the gateway. The key stays in this tab and goes into a header, never into an address.

import { t } from "./words.js";

const KEY = "c500-key";
const RETRY_MS = 2000;

/** An answer that is no success, in words for people. */
export class Problem extends Error {
  constructor(status, code, message, fix) {
    super(message);
    this.status = status;
    this.code = code;
    this.fix = fix;
  }

  get words() {
    return this.fix ? `${this.message}\n${this.fix}` : this.message;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  keep: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
  looksRight: (value) => /^[\x21-\x7e]{32,512}$/.test(value),
};

function problemOf(status, text) {
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    // no JSON: a proxy's own page, say
  }
  const error = body.error ?? {};
  return new Problem(status, error.code, error.message ?? `HTTP ${status}`, error.details?.fix);
}

const unreachable = () =>
  new Problem(0, "UNREACHABLE", t("The gateway cannot be reached."), t("Check the connection and try again."));

/** Fetch with the key; throws a Problem for anything but success. */
export async function call(path, { as = key.get(), ...options } = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, "X-API-Key": as }, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!response.ok) throw problemOf(response.status, await response.text());
  return response;
}

export const getJson = async (path, options) => (await call(path, options)).json();

/** Send a form; fetch cannot tell how much of a body has gone, so this is XMLHttpRequest. */
export function upload(path, form, onShare, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("X-API-Key", key.get());
    request.upload.onprogress = (event) => event.lengthComputable && onShare(event.loaded / event.total);
    request.onload = () =>
      request.status < 300
        ? resolve(JSON.parse(request.responseText))
        : reject(problemOf(request.status, request.responseText));
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new Problem(0, "STOPPED", t("The upload was stopped.")));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/** Tell of a job's events until it ends: onNews(kind, data). Server-sent events, read by fetch for the header's sake. */
export async function follow(id, onNews, onLost, signal) {
  let last = "";
  for (;;) {
    try {
      const response = await call(`/v1/events/${id}`, { signal, headers: last ? { "Last-Event-ID": last } : {} });
      for await (const event of eventsOf(response.body)) {
        last = event.id ?? last;
        onNews(event.kind, JSON.parse(event.data));
        if (event.kind === "end") return;
      }
    } catch (error) {
      if (error.name === "AbortError" || (error instanceof Problem && ![0, 429, 502, 503, 504].includes(error.status)))
        throw error;
      onLost();
    }
    await new Promise((wake) => setTimeout(wake, RETRY_MS));
    if (signal.aborted) return;
  }
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = { kind: "message", data: "" };
      for (const line of block.split("\n")) {
        const [, field, content] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
        if (field === "event") event.kind = content;
        if (field === "id") event.id = content;
        if (field === "data") event.data += content;
      }
      if (event.data) yield event;
    }
  }
}

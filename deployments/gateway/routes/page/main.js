// The page: a key, a form, a list of jobs, one job shown.

import { Problem, getJson, key, upload } from "./api.js";
import { byId, make, tell } from "./dom.js";
import { addJob, cancelShown, drawList, forgetAll, watchOthers } from "./jobs.js";
import { switchTongue, t, translatePage } from "./words.js";

function showForKey(has) {
  byId("key-form").hidden = has;
  byId("key-kept").hidden = !has;
  byId("new").hidden = !has;
  byId("list").hidden = !has;
}

/** Try a key; it is kept only if the gateway takes it. */
async function useKey(value) {
  tell("key-error");
  if (!key.looksRight(value))
    throw new Problem(0, "NO_KEY", t("This is no API key: it has 32 to 512 characters, no spaces."));
  const { templates } = await getJson("/v1/templates", { as: value });
  key.keep(value);
  byId("key").value = "";
  byId("template").replaceChildren(
    ...templates.map(({ id, description }) => make("option", { value: id, textContent: id, title: description ?? "" })),
  );
  const usual = templates.find(({ id }) => id === "meeting_notes");
  if (usual) byId("template").value = usual.id;
  showForKey(true);
  drawList();
}

function forgetKey() {
  key.forget();
  forgetAll();
  showForKey(false);
  byId("key").focus();
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await useKey(byId("key").value.trim());
    byId("file").focus();
  } catch (error) {
    tell("key-error", error);
    byId("key").focus();
  }
});
byId("key-forget").addEventListener("click", forgetKey);

function formOf() {
  const form = new FormData();
  const wanted = [...document.querySelectorAll("[name=features]:checked")].map((box) => box.value);
  // Fields come before the file, so that a wrong one is refused before the file has been sent.
  for (const feature of wanted.length ? wanted : ["raw_transcript"]) form.append("features", feature);
  if (wanted.includes("summary")) form.append("template_id", byId("template").value);
  if (byId("language").value) form.append("language", byId("language").value);
  if (byId("speakers").checked) form.append("enable_diarization", "true");
  form.append("file", byId("file").files[0]);
  return form;
}

byId("job-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  tell("job-error");
  const { name } = byId("file").files[0];
  const stop = new AbortController();
  byId("upload-stop").onclick = () => stop.abort();
  byId("upload-bar").value = 0;
  byId("upload").hidden = false;
  byId("start").disabled = true;
  try {
    const { task_id } = await upload("/v1/process", formOf(), (share) => (byId("upload-bar").value = share), stop.signal);
    byId("job-form").reset();
    showTemplateChoice();
    addJob(task_id, name);
  } catch (error) {
    tell("job-error", error);
    byId("start").disabled = false;
    byId("start").focus();
  } finally {
    byId("upload").hidden = true;
    byId("start").disabled = false;
  }
});

function showTemplateChoice() {
  byId("template").disabled = !document.querySelector("[value=summary]").checked;
}
document.querySelector("[value=summary]").addEventListener("change", showTemplateChoice);

byId("job-cancel").addEventListener("click", cancelShown);
byId("tongue").addEventListener("click", () => {
  switchTongue();
  drawList();
});

translatePage();
showForKey(false);
if (key.get())
  useKey(key.get()).catch((error) => {
    if (error.status === 401) key.forget();
    tell("key-error", error);
  });
watchOthers(key.get);

// Models that are dropped or chosen anywhere: sent as they are, with how far it has come.
window.servelensFiles = (function () {
  "use strict";

  const LABELS = /\.(json|txt)$/i;
  const LABELS_FIELD = { "file-field": "output.labels" };

  let bar = null;

  function show(text, share, stop) {
    if (!bar) {
      bar = document.createElement("div");
      bar.className = "sending";
      bar.setAttribute("role", "status");
      document.body.append(bar);
    }
    const words = document.createElement("span");
    words.textContent = text;
    bar.replaceChildren(words);
    if (share !== undefined) {
      const progress = document.createElement("progress");
      progress.value = share;
      progress.setAttribute("aria-label", "sent");
      bar.append(progress);
    }
    const button = document.createElement("button");
    button.className = "button";
    button.textContent = stop ? "Cancel" : "Close";
    button.addEventListener("click", stop || hide);
    bar.append(button);
  }

  function hide() {
    if (bar) bar.remove();
    bar = null;
  }

  const terms = async () => (await fetch("/files")).json();

  // Labels are for the form that asks for them, where it is open.
  const isLabels = (file) => LABELS.test(file.name) && document.querySelector(".labels");

  async function takes(file) {
    if (file.type.startsWith("image/")) return false;
    if (isLabels(file)) return true;
    try {
      const { suffixes } = await terms();
      return suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix));
    } catch {
      return false;
    }
  }

  async function bring(file) {
    if (isLabels(file)) {
      const value = await file.text();
      return window.dash_clientside.set_props(LABELS_FIELD, { value });
    }
    const { suffixes, most_bytes: most } = await terms();
    if (!suffixes.length) return show("The dashboard does not know the server's model store; start it with --store.");
    if (file.size > most) {
      const size = (bytes) => `${(bytes / 1e9).toPrecision(3)} GB`;
      return show(`${file.name} has ${size(file.size)}; at most ${size(most)} are taken. Build it with scripts/build.`);
    }
    send(file);
  }

  // fetch does not say how much has been sent.
  function send(file) {
    const call = new XMLHttpRequest();
    const stop = () => call.abort();
    call.open("POST", `/files?name=${encodeURIComponent(file.name)}`);
    call.responseType = "json";
    call.upload.addEventListener("progress", (event) => show(`Sending ${file.name}`, event.loaded / event.total, stop));
    call.addEventListener("load", () => arrived(call.response || {}));
    call.addEventListener("error", () => show("The file could not be sent. Is the dashboard still running?"));
    call.addEventListener("abort", hide);
    show(`Sending ${file.name}`, 0, stop);
    call.send(file);
  }

  function arrived(told) {
    if (!told.file) return show(told.error || "The dashboard did not take the file; its log says why.");
    hide();
    const query = new URLSearchParams(window.location.search);
    query.set("file", told.file);
    window.dash_clientside.set_props("url", { pathname: "/models", search: `?${query}` });
  }

  document.addEventListener("click", (event) => {
    if (!event.target.closest(".choose-file")) return;
    const chooser = document.createElement("input");
    chooser.type = "file";
    chooser.addEventListener("change", () => chooser.files[0] && bring(chooser.files[0]));
    chooser.click();
  });

  return { takes, bring };
})();

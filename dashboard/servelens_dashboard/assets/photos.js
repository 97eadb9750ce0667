// Photos that are dropped, pasted or chosen go to the server as they are; it answers where to look
// next, and is asked again where a person has gone elsewhere meanwhile. A page that stays is told at
// once what of it is other.
(function () {
  "use strict";

  const tell = (text) => window.dash_clientside.set_props("photo-trouble", { children: text });

  // Whether the page is what the server takes it for: another view may be on its way to it.
  function shows({ href, pulse }) {
    const store = window.dash_component_api.getLayout("predictions-ask");
    const ask = store && store.props.data;
    return Boolean(ask) && ask.href === href && ask.pulse === pulse;
  }

  function goOn({ search, shown, news }) {
    const { set_props } = window.dash_clientside;
    if (news && shows(shown)) news.forEach(([name, properties]) => set_props(name, properties));
    set_props("url", { search });
  }

  async function bring(file) {
    if (!file) return;
    if (await window.servelensFiles.takes(file)) return window.servelensFiles.bring(file);
    tell("Bringing the photo…");
    try {
      let here, told;
      do {
        here = location.pathname + location.search;
        const to = encodeURIComponent(here);
        const answer = await fetch(`/photos?to=${to}`, { method: "POST", body: file });
        told = await answer.json();
      } while (told.photo && here !== location.pathname + location.search);
      if (!told.photo) return tell(told.error);
      tell("");
      goOn(told);
    } catch {
      tell("The dashboard does not answer. Is it still running?");
    }
  }

  const files = (transfer) => (transfer && transfer.files ? transfer.files : []);

  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    bring(files(event.dataTransfer)[0]);
  });
  document.addEventListener("paste", (event) => bring(files(event.clipboardData)[0]));
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".choose")) return;
    const chooser = document.createElement("input");
    chooser.type = "file";
    chooser.accept = "image/*";
    chooser.addEventListener("change", () => bring(chooser.files[0]));
    chooser.click();
  });
})();

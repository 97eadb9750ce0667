// What is shown, kept as a file; and where it cannot be, the sentence that says why.
(function () {
  "use strict";

  const SOON_MS = 500;
  const BEING_MADE = "The file is being made…";
  const NO_PICTURE = "There is no picture here that could be saved.";
  const OF_A_MAP = /part=(map|card)$/;

  function keep(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  async function save(name, make) {
    const { hush, tell } = window.servelens;
    tell("");
    const soon = setTimeout(() => tell(BEING_MADE), SOON_MS);
    try {
      keep(await make(), name);
      hush(BEING_MADE);
    } catch (error) {
      tell(error.message);
    } finally {
      clearTimeout(soon);
    }
  }

  // Of the graphs that stand beside the button's row.
  async function drawn(button) {
    const row = button.closest(".folded") || button.closest(".saving");
    const graphs = [...row.parentElement.querySelectorAll(".js-plotly-plot")];
    if (!graphs.length) throw new Error(NO_PICTURE);
    return window.servelens.picture(graphs);
  }

  // A map's file has its trust card where the page has it when the link is used.
  function withCard(event) {
    const link = event.target.closest(".panel .body .saving a");
    if (!link) return;
    const seen = link.closest(".panel").querySelector(".trust .findings");
    link.href = link.getAttribute("href").replace(OF_A_MAP, seen ? "part=card" : "part=map");
  }

  for (const kind of ["click", "auxclick", "contextmenu"]) {
    document.addEventListener(kind, withCard, true);
  }

  // A browser that follows such a link itself would keep what is told instead of a file as one.
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".saving a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    save(link.download, () => window.servelens.ask(link.href));
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".save-picture");
    if (button) save(`${button.dataset.name}.png`, () => drawn(button));
  });
})();

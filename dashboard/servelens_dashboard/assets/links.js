// The link to what is shown, with nothing left open and the look of its maps.
(function () {
  "use strict";

  const SHOWN_MS = 2000;

  function tell(text) {
    window.dash_clientside.set_props("working", { children: text });
  }

  async function copy() {
    const link = document.getElementById("permalink");
    if (!link) return;
    const text = link.href + location.hash;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return tell(text); // beyond loopback browsers give no clipboard to a page without TLS
    }
    tell("The link is copied.");
    setTimeout(() => tell(""), SHOWN_MS);
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("#copy-link")) copy();
  });

  window.servelens = window.servelens || {};
  window.servelens.copyLink = copy;
})();

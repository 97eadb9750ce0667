// The link to what is shown, with nothing left open and the look of its maps.
(function () {
  "use strict";

  function copy() {
    const link = document.getElementById("permalink");
    if (link) window.servelens.copy(link.href + location.hash, "The link is copied.");
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("#copy-link")) copy();
  });

  window.servelens = window.servelens || {};
  window.servelens.copyLink = copy;
})();

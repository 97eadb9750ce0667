// What has failed is asked again, and with it all of the page.
(function () {
  "use strict";

  document.addEventListener("click", (event) => {
    if (!event.target.closest(".again")) return;
    window.dash_clientside.set_props("again", { data: Date.now() });
  });
})();

// A link that only changes a part of the page leaves what is seen where it is; Dash goes to the top.
(function () {
  "use strict";

  document.addEventListener(
    "click",
    (event) => {
      const link = event.target.closest("a.stay");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      window.dash_clientside.set_props("url", { search: link.search });
    },
    true,
  );
})();

// Figures are drawn by the server, which is told here whether the page is light or dark.
(function () {
  "use strict";

  const ATTRIBUTE = "data-mantine-color-scheme";
  let told = null;

  function tell() {
    const theme = document.documentElement.getAttribute(ATTRIBUTE);
    const dash = window.dash_clientside;
    if (!theme || theme === told || !dash || !dash.set_props) return;
    if (!document.getElementById("page")) return;
    told = theme;
    dash.set_props("theme", { data: theme });
  }

  new MutationObserver(tell).observe(document.documentElement, {
    attributes: true,
    attributeFilter: [ATTRIBUTE],
    childList: true,
    subtree: true,
  });
})();

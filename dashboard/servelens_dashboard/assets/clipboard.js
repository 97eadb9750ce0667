// What others copy, and what they say of it where a page says what is being done.
(function () {
  "use strict";

  const SHOWN_MS = 2000;

  function tell(text) {
    window.dash_clientside.set_props("working", { children: text });
  }

  // Over for what was said; what has been said since by others stays.
  function hush(said) {
    const { children } = window.dash_component_api.getLayout("working").props;
    if (children === said) tell("");
  }

  async function copy(text, said) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return tell(text); // beyond loopback browsers give no clipboard to a page without TLS
    }
    tell(said);
    setTimeout(() => hush(said), SHOWN_MS);
  }

  window.servelens = window.servelens || {};
  Object.assign(window.servelens, { copy, hush, tell });
})();

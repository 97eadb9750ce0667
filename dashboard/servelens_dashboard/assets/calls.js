// The call that a part of the page is the answer to, as text for the clipboard.
(function () {
  "use strict";

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy-call");
    if (!button) return;
    const { ask, copy, tell } = window.servelens;
    try {
      const call = await ask(button.dataset.call);
      await copy(await call.text(), "The call is copied.");
    } catch (error) {
      tell(error.message);
    }
  });
})();

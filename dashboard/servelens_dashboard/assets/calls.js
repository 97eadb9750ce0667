// The call that a map is the answer to, as text for the clipboard.
(function () {
  "use strict";

  async function textOf(address) {
    const answer = await fetch(address);
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    return text;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy-call");
    if (!button) return;
    const { copy, tell } = window.servelens;
    try {
      await copy(await textOf(button.dataset.call), "The call is copied.");
    } catch (error) {
      tell(error.message);
    }
  });
})();

// What a door of ours gives: its body, or the sentence that says why there is none.
(function () {
  "use strict";

  const SILENT = "The dashboard does not answer. Is it still running?";

  async function ask(address) {
    let answer, body;
    try {
      answer = await fetch(address);
      body = await answer.blob();
    } catch {
      throw new Error(SILENT);
    }
    if (!answer.ok) throw new Error(await body.text());
    return body;
  }

  window.servelens = window.servelens || {};
  window.servelens.ask = ask;
})();

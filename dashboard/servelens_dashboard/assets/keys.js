// Keys for those who know them; views/keys.py is the list that a person sees.
(function () {
  "use strict";

  const STEP = 0.05;

  function click(element) {
    if (element) element.click();
  }

  // The neighbour of the chosen one among links, in their order on the page.
  function neighbour(links, chosen, by) {
    const all = [...document.querySelectorAll(links)];
    const at = all.findIndex((link) => link.matches(chosen));
    return all[at + by];
  }

  function fade(by) {
    const slider = document.getElementById("opacity");
    slider.value = Number(slider.value) + by;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // From none to the first.
  function after() {
    const looksAtOne = document.querySelector("#channel-head h2");
    return looksAtOne ? "#channel-head .after" : "#atlas .first";
  }

  const list = () => document.getElementById("keys").showModal();

  const KEYS = {
    "[": () => fade(-STEP),
    "]": () => fade(STEP),
    "?": list,
    c: () => window.servelens.copyLink(),
    ArrowDown: () => click(neighbour(".layer-tree a", ".here", 1)),
    ArrowUp: () => click(neighbour(".layer-tree a", ".here", -1)),
    ArrowLeft: () => click(document.querySelector("#channel-head .before")),
    ArrowRight: () => click(document.querySelector(after())),
    p: () => click(document.getElementById("journey-play")),
  };

  function typing(target) {
    return target.closest("input, textarea, select, [role=slider], [role=option], dialog");
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const number = "123456789".indexOf(event.key);
    if (number >= 0) return click(document.querySelectorAll(".explain-class")[number]);
    if (!KEYS[event.key]) return;
    if (event.key.startsWith("Arrow") && !document.querySelector(".layer-tree a.here")) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("#show-keys")) list();
  });

  // Shift and a click set a class against the present one, as the link beside it does.
  document.addEventListener(
    "click",
    (event) => {
      const link = event.target.closest(".explain-class");
      if (!link || !event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      click(link.closest("tr").querySelector(".against"));
    },
    true,
  );
})();

// The look of maps, as callbacks in the browser; callbacks/looks.py wires them. It stands behind the
// `#` of the address, where no server sees it, as far as it is not the usual one.
(function () {
  "use strict";

  const USUAL_COLOURS = "usual";
  // By the controls' names: how they are called in the address, and what of it they take.
  const share = (text) => (Number(text) >= 0 && Number(text) <= 1 ? Number(text) : null);
  const WRITTEN = {
    opacity: { as: "opacity", take: share },
    threshold: { as: "hide", take: share },
    colours: { as: "colours", take: (text, tables) => (Object.hasOwn(tables, text) ? text : null) },
  };
  const AT_REST_MS = 120;
  let resting = null;
  let usual = null;
  let known = null;

  // The photo under the maps is pale, but for an address that says otherwise.
  const BRIGHT = ["photo", "bright"];

  function isPale() {
    return new URLSearchParams(location.hash.slice(1)).get(BRIGHT[0]) !== BRIGHT[1];
  }

  // The look that the address names; what it does not, or what is none, is as usual. A place on the
  // page, as the link to its beginning has it, is no look.
  function named() {
    const hash = location.hash.slice(1);
    if (hash && !hash.includes("=")) return null;
    const pairs = new URLSearchParams(hash);
    const look = {};
    for (const [name, { as, take }] of Object.entries(WRITTEN)) {
      const value = pairs.get(as) ? take(pairs.get(as), known) : null;
      look[name] = value === null ? usual[name] : value;
    }
    return { ...look, colours: look.colours || USUAL_COLOURS };
  }

  function written(appearance, pale) {
    const pairs = new URLSearchParams();
    for (const [name, { as }] of Object.entries(WRITTEN)) {
      if (appearance[name] !== usual[name]) pairs.set(as, appearance[name]);
    }
    if (!pale) pairs.set(...BRIGHT);
    return pairs.size ? `#${pairs}` : "";
  }

  const control = (name) => document.getElementById(name);

  function makeSliders() {
    for (const place of document.querySelectorAll("[data-slider]:empty")) {
      const slider = document.createElement("input");
      Object.assign(slider, { id: place.dataset.slider, type: "range", min: 0, max: 1, step: 0.01 });
      place.append(slider);
    }
  }

  // On the controls, which are the browser's own.
  function show(look) {
    for (const name of Object.keys(WRITTEN)) control(name).value = look[name];
  }

  function chosen() {
    const colours = control("colours").value;
    return {
      ...usual,
      opacity: Number(control("opacity").value),
      threshold: Number(control("threshold").value),
      colours: colours === USUAL_COLOURS ? null : colours,
    };
  }

  // While a slider is moved pictures follow it at once, and what takes longer once it rests.
  function choose() {
    const appearance = chosen();
    window.servelens.heat.tint(known, appearance);
    clearTimeout(resting);
    const settle = () => window.dash_clientside.set_props("appearance", { data: appearance });
    resting = setTimeout(settle, AT_REST_MS);
  }

  // A figure as the page shows it now, whether or not the controls have come to rest.
  function worn(figure) {
    return usual ? window.servelens.heat.apply(figure, known, chosen()) : figure;
  }

  window.servelens = window.servelens || {};
  window.servelens.looks = { worn };

  document.addEventListener("input", (event) => {
    if (usual && Object.hasOwn(WRITTEN, event.target.id)) choose();
  });

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.looks = {
    arrive(tables, appearance) {
      usual = appearance;
      known = tables;
      makeSliders();
      show(named() || { ...usual, colours: USUAL_COLOURS });
      return [chosen(), isPale()];
    },

    // Where a page was left the address has no look; and no step back is made of a moved slider.
    remember(appearance, pale) {
      if (!usual) return;
      const hash = written(appearance, pale);
      if (location.hash === hash) return;
      history.replaceState(history.state, "", location.pathname + location.search + hash);
      window.dash_clientside.set_props("url", { hash: location.hash, href: location.href });
    },

    paint(appearance, figure, tables) {
      const painted = figure && window.servelens.heat.apply(figure, tables, appearance);
      return painted === figure ? window.dash_clientside.no_update : painted;
    },
  };

  // A link to the same view with another look, and the way back to one.
  window.addEventListener("hashchange", () => {
    const look = usual && named();
    if (!look) return;
    show(look);
    choose();
    window.dash_clientside.set_props("pale", { checked: isPale() });
  });
})();

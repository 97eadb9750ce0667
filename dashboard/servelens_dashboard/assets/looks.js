// The look of maps, as callbacks in the browser; callbacks/looks.py wires them.
(function () {
  "use strict";

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.looks = {
    choose(opacity, threshold, colours, before) {
      return { ...before, opacity, threshold, colours: colours === "usual" ? null : colours };
    },

    paint(appearance, figure, tables) {
      if (!figure) return window.dash_clientside.no_update;
      return window.servelens.heat.apply(figure, tables, appearance);
    },
  };
})();

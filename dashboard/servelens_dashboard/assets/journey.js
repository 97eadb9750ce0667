// The way through the network, played: all frames are here (views/journey.py), none is asked for.
(function () {
  "use strict";

  const keep = () => window.dash_clientside.no_update;

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.journey = {
    show(step, frames, appearance, tables) {
      if (!frames || !frames[step]) return [keep(), keep()];
      const { figure, words } = frames[step];
      return [window.servelens.heat.apply(figure, tables, appearance), words];
    },

    // Play begins, or begins again at the end, or stops; the clock goes one further.
    turn(clicks, ticks, step, frames, stopped) {
      const pressed = window.dash_clientside.callback_context.triggered_id === "journey-play";
      if (pressed ? !clicks : stopped || !ticks) return [keep(), keep(), keep()];
      if (pressed && !stopped) return [keep(), true, "Play"];
      const last = frames.length - 1;
      const next = step < last ? step + 1 : 0;
      return [next, next === last, next === last ? "Play" : "Pause"];
    },
  };
})();

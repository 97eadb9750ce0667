// What parts of a page are told of each other.
(function () {
  "use strict";

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.asks = {
    // From one channel to another: of what is looked at now, to each part what is news to it.
    narrow(whole, ...before) {
      const names = window.dash_clientside.callback_context.outputs_list.map((one) => one.id);
      return names.map((name, place) => {
        const ask = { href: whole.narrowed[name], pulse: whole.pulse };
        const known = before[place];
        const same = known && known.href === ask.href && known.pulse === ask.pulse;
        return same ? window.dash_clientside.no_update : ask;
      });
    },

    // On one scale each panel is drawn anew when another's map has come.
    come(whole, before) {
      const same = before === null || String([...whole].sort()) === String(before);
      return same ? window.dash_clientside.no_update : [...whole].sort();
    },
  };
})();

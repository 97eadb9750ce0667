// What the parts of a page are asked for, of what the page as a whole is: each only what is news to it.
(function () {
  "use strict";

  function news(ask, known) {
    const same = known && known.href === ask.href && known.pulse === ask.pulse;
    return same ? window.dash_clientside.no_update : ask;
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.asks = {
    // From one channel to another.
    narrow(whole, ...before) {
      const names = window.dash_clientside.callback_context.outputs_list.map((one) => one.id);
      return names.map((name, place) =>
        news({ href: whole.narrowed[name], pulse: whole.pulse }, before[place]),
      );
    },

    // What is wanted beside something else, once that is there.
    follow(_, wanted, known) {
      return news(wanted, known);
    },
  };
})();

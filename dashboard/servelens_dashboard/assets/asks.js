// What parts of a page are told of each other.
(function () {
  "use strict";

  function news(ask, known) {
    const same = known && known.href === ask.href && known.pulse === ask.pulse;
    return same ? window.dash_clientside.no_update : ask;
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.asks = {
    // From one channel to another: of what is looked at now, to each part what is news to it.
    narrow(whole, ...before) {
      const names = window.dash_clientside.callback_context.outputs_list.map((one) => one.id);
      return names.map((name, place) =>
        news({ href: whole.narrowed[name], pulse: whole.pulse }, before[place]),
      );
    },

    // What is wanted beside a map, once all of that map is there.
    follow(whole, wanted, known) {
      const isThere = whole && whole[1] === wanted.href;
      return isThere ? news(wanted, known) : window.dash_clientside.no_update;
    },
  };
})();

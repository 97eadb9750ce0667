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

    // Which of many buttons a person has clicked, and that it was now.
    clicked() {
      const { triggered, triggered_id: button } = window.dash_clientside.callback_context;
      const isClick = triggered.length === 1 && triggered[0].value > 0;
      return isClick ? { ...button, at: Date.now() } : window.dash_clientside.no_update;
    },

    // What is wanted beside a map, once all of that map is there.
    follow(whole, wanted, known) {
      const isThere = whole && whole[1] === wanted.href;
      return isThere ? news(wanted, known) : window.dash_clientside.no_update;
    },
  };
})();

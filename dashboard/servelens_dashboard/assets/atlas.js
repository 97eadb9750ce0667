// The channel that is looked at, marked in the atlas: from channel to channel nothing else of it
// changes, and nothing of it is sent again; figures/atlas.py says where its channels lie.
(function () {
  "use strict";

  const keep = () => window.dash_clientside.no_update;

  function box(known, place) {
    const row = Math.floor(place / known.columns);
    const x0 = (place % known.columns) * known.pitch[0];
    const y0 = row * known.pitch[1];
    return { x0, y0, x1: x0 + known.cell[0], y1: y0 + known.cell[1] };
  }

  // None where the channel is not in the atlas.
  function marks(known, channel) {
    const place = known.numbers.indexOf(channel);
    return place < 0 ? [] : [{ type: "rect", ...box(known, place), line: known.line }];
  }

  function mark(whole, figure) {
    const known = figure && figure.layout.meta && figure.layout.meta.atlas;
    if (!known) return keep();
    const channel = new URL(whole.href, location.href).searchParams.get("channel");
    const shapes = channel === null ? [] : marks(known, Number(channel));
    return { ...figure, layout: { ...figure.layout, shapes } };
  }

  window.servelens = window.servelens || {};
  window.servelens.atlas = { marks };
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.atlas = { mark };
})();

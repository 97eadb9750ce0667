// What the unit under the pointer can see, as a box over the photo; figures/field.py says what of.
(function () {
  "use strict";

  const HOVERED = "hovered";
  const LINE = { color: "#ffffff", width: 2, dash: "dot" };

  const within = (value, least, most) => Math.min(Math.max(value, least), most);
  // Halves of strides add up to what is not quite whole.
  const settled = (value) => Math.round(value * 1e6) / 1e6;

  function placeAt(share, places) {
    return within(Math.floor(share * places), 0, places - 1);
  }

  // From the first pixel of the input to behind the last, along one axis.
  function sees(known, axis, place) {
    const side = known.input[axis];
    if (known.whole) return [0, side];
    const centre = known.offset[axis] + place * known.stride[axis];
    const reach = (known.size[axis] - 1) / 2;
    const first = within(Math.ceil(settled(centre - reach)), 0, side);
    return [first, Math.max(first, Math.min(Math.floor(settled(centre + reach)) + 1, side))];
  }

  // [left, top, right, bottom] in the photo, out to whole pixels.
  function box(known, x, y) {
    const [left, top, right, bottom] = known.crop;
    const [wide, high] = [right - left, bottom - top];
    const rows = sees(known, 0, placeAt((y - top) / high, known.places[0]));
    const columns = sees(known, 1, placeAt((x - left) / wide, known.places[1]));
    const perY = high / known.input[0];
    const perX = wide / known.input[1];
    return [
      left + Math.floor(columns[0] * perX),
      top + Math.floor(rows[0] * perY),
      left + Math.ceil(columns[1] * perX),
      top + Math.ceil(rows[1] * perY),
    ];
  }

  function follow(hover, figure) {
    const known = figure && figure.layout.meta && figure.layout.meta.field;
    if (!known) return window.dash_clientside.no_update;
    const shapes = (figure.layout.shapes || []).filter((shape) => shape.name !== HOVERED);
    if (hover) {
      const [x0, y0, x1, y1] = box(known, hover.points[0].x, hover.points[0].y);
      shapes.push({ type: "rect", x0, y0, x1, y1, line: LINE, name: HOVERED });
    }
    return { ...figure, layout: { ...figure.layout, shapes } };
  }

  window.servelens = window.servelens || {};
  window.servelens.field = { box };
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.field = { follow };
})();

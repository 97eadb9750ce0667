// Other colours for maps that are here already; figures/recolouring.py says what is passed.
(function () {
  "use strict";

  const START = "data:image/png;base64,";
  const SIGNATURE = 8;
  // Signature, IHDR, PLTE and tRNS, up to a multiple of the three bytes that base64 takes at a time.
  const HEAD = 1083;
  const STOPS = 33;
  const USUAL = { false: "cividis", true: "blue-red" };

  const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
    return rest;
  });

  function checksum(bytes) {
    let sum = 0xffffffff;
    for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
    return ~sum >>> 0;
  }

  function colours(table) {
    return Uint8Array.from({ length: 768 }, (_, i) => parseInt(table.colours.substr(2 * i, 2), 16));
  }

  function alphas(appearance, signed) {
    return Uint8Array.from({ length: 256 }, (_, level) => {
      const place = level / 255;
      const strength = signed ? Math.abs(2 * place - 1) : place;
      if (strength < appearance.threshold) return 0;
      return Math.floor(255 * appearance.opacity * (appearance.fade ? strength : 1) + 0.5);
    });
  }

  // The colours that were chosen, where they are of the map's kind.
  function nameOf(tables, appearance, signed) {
    const chosen = tables[appearance.colours];
    return chosen && chosen.signed === signed ? appearance.colours : USUAL[signed];
  }

  // A palette PNG's address with other contents in its chunks PLTE and tRNS. Both are in the first
  // bytes of the file, so that the rest of the address stays as it is, however large the picture.
  function recolour(source, table, appearance) {
    if (!source.startsWith(START)) return source;
    const end = START.length + (HEAD / 3) * 4;
    const bytes = Uint8Array.from(atob(source.slice(START.length, end)), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const contents = { PLTE: colours(table), tRNS: alphas(appearance, table.signed) };
    for (let at = SIGNATURE; at + 8 < bytes.length; ) {
      const length = view.getUint32(at);
      const body = at + 8;
      const kind = String.fromCharCode(...bytes.subarray(at + 4, body));
      if (contents[kind] && contents[kind].length === length) {
        bytes.set(contents[kind], body);
        view.setUint32(body + length, checksum(bytes.subarray(at + 4, body + length)));
      }
      at = body + length + 4;
    }
    return START + btoa(String.fromCharCode(...bytes)) + source.slice(end);
  }

  function stops(table) {
    return Array.from({ length: STOPS }, (_, stop) => {
      const place = Math.round((255 * stop) / (STOPS - 1));
      return [place / 255, "#" + table.colours.substr(6 * place, 6)];
    });
  }

  // How a figure's map is coloured: its table, and the appearance as far as it means something.
  function waysOf(meta, tables, appearance) {
    const table = tables[nameOf(tables, appearance, meta.heat.signed)];
    return [table, meta.heat.photo ? appearance : { ...appearance, opacity: 1, fade: false }];
  }

  // The figure itself, where its map has these colours already.
  function apply(figure, tables, appearance) {
    const { meta = {}, images = [] } = figure.layout;
    if (!meta.heat) return figure;
    const [table, ways] = waysOf(meta, tables, appearance);
    const recoloured = images.map((image) =>
      image.name === "heat" ? { ...image, source: recolour(image.source, table, ways) } : image,
    );
    if (recoloured.every(({ source }, at) => source === images[at].source)) return figure;
    const rescaled = (trace) =>
      trace.name === "heat" ? { ...trace, colorscale: stops(table) } : trace;
    return {
      ...figure,
      data: figure.data.map(rescaled),
      layout: { ...figure.layout, images: recoloured },
    };
  }

  // Which of a graph's pictures is its map, of those that were tinted before.
  const maps = new WeakMap();

  function mapOf(graph, source) {
    const known = maps.get(graph);
    if (known && known.isConnected) return known;
    const found = [...graph.querySelectorAll("image")].find(
      (image) => image.getAttribute("href") === source,
    );
    maps.set(graph, found);
    return found;
  }

  // The pictures alone, at once; the figures that they are of, with their bars, may follow.
  function tint(tables, appearance) {
    for (const graph of document.querySelectorAll(".js-plotly-plot")) {
      const { meta, images } = graph.layout || {};
      const heat = meta && meta.heat && (images || []).find((image) => image.name === "heat");
      const picture = heat && mapOf(graph, heat.source);
      if (!picture) continue;
      picture.setAttribute("href", recolour(heat.source, ...waysOf(meta, tables, appearance)));
    }
  }

  window.servelens = window.servelens || {};
  window.servelens.heat = { apply, recolour, tint };
})();

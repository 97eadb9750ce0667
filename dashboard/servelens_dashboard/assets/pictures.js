// Graphs as one picture, as they look now: with their colours, opacity and threshold.
(function () {
  "use strict";

  const SHARPER = 2;
  const GAP = 16;
  const HEADING = 32;
  const FAILED = "This browser could not make the picture; the other formats have its numbers.";

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function load(source) {
    return new Promise((resolve, reject) => {
      const picture = new Image();
      picture.onload = () => resolve(picture);
      picture.onerror = reject;
      picture.src = source;
    });
  }

  // The photo under a map, which the page's style may make paler than Plotly knows.
  async function backdrop(graph) {
    const photo = graph.closest(".over-photo") && graph.querySelector(".layer-subplot image");
    if (!photo) return null;
    const [here, around] = [photo.getBoundingClientRect(), graph.getBoundingClientRect()];
    const place = [here.left - around.left, here.top - around.top, here.width, here.height];
    const { filter } = getComputedStyle(photo);
    return { picture: await load(photo.getAttribute("href")), place, filter };
  }

  // The last one before the graph, of its panel or its column.
  function headingOf(graph) {
    const headings = [...graph.closest("section, .stage, .right").querySelectorAll("h2, h3")];
    const isBefore = (one) => one.compareDocumentPosition(graph) & Node.DOCUMENT_POSITION_FOLLOWING;
    const heading = headings.filter(isBefore).at(-1);
    return heading ? heading.textContent : "";
  }

  // One graph, and where on the page it is.
  async function shoot(graph) {
    const behind = await backdrop(graph);
    const { images = [] } = graph.layout;
    const kept = images.filter((image) => !behind || image.name !== "photo");
    const bare = { data: graph.data, layout: { ...graph.layout, images: kept } };
    const figure = window.servelens.looks.worn(bare);
    const { clientWidth: width, clientHeight: height } = graph;
    const asked = { format: "png", scale: SHARPER, width, height };
    const picture = await load(await window.Plotly.toImage(figure, asked));
    const { top } = graph.getBoundingClientRect();
    return { behind, picture, heading: headingOf(graph), width, height, top };
  }

  // Beside each other, or under each other where the page has them so.
  function lay(shots) {
    const [first, second] = shots;
    const isDown = second && second.top >= first.top + first.height;
    let [left, top] = [GAP, 0];
    for (const shot of shots) {
      Object.assign(shot, { left, top });
      if (isDown) top += HEADING + shot.height + GAP;
      else left += shot.width + GAP;
    }
  }

  // On the page's own paper.
  function paste(shots) {
    const canvas = document.createElement("canvas");
    const width = Math.max(...shots.map((shot) => shot.left + shot.width)) + GAP;
    const height = Math.max(...shots.map((shot) => shot.top + HEADING + shot.height)) + GAP;
    canvas.width = width * SHARPER;
    canvas.height = height * SHARPER;
    const pen = canvas.getContext("2d");
    pen.scale(SHARPER, SHARPER);
    pen.fillStyle = style("--paper");
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = style("--ink");
    pen.font = "600 14px system-ui, sans-serif";
    for (const { heading, behind, picture, left, top, ...size } of shots) {
      pen.fillText(heading, left, top + 21, size.width);
      if (behind) {
        const [x, y, ...extent] = behind.place;
        pen.filter = behind.filter;
        pen.drawImage(behind.picture, left + x, top + HEADING + y, ...extent);
        pen.filter = "none";
      }
      pen.drawImage(picture, left, top + HEADING, size.width, size.height);
    }
    return canvas;
  }

  async function picture(graphs) {
    try {
      const shots = await Promise.all(graphs.map(shoot));
      lay(shots);
      const canvas = paste(shots);
      const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
      if (blob) return blob;
    } catch (error) {
      console.warn(error);
    }
    throw new Error(FAILED);
  }

  window.servelens = window.servelens || {};
  window.servelens.picture = picture;
})();

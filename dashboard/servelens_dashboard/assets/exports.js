// What is saved is as it looks now: pictures of graphs with their colours, opacity and threshold, and
// files with the trust card that is there.
(function () {
  "use strict";

  const SHARPER = 2;
  const GAP = 16;
  const HEADING = 32;
  const CARD = "&trust=1";

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

  // One graph, with the heading that it stands under.
  async function shoot(graph) {
    const behind = await backdrop(graph);
    const images = graph.layout.images.filter((image) => !behind || image.name !== "photo");
    const bare = { data: graph.data, layout: { ...graph.layout, images } };
    const figure = window.servelens.looks.worn(bare);
    const size = { width: graph.clientWidth, height: graph.clientHeight };
    const source = await window.Plotly.toImage(figure, { format: "png", scale: SHARPER, ...size });
    const heading = graph.closest("section, .stage").querySelector("h2, h3");
    const words = heading ? heading.textContent : "";
    return { behind, picture: await load(source), heading: words, ...size };
  }

  // Beside each other on the page's own paper.
  function paste(shots) {
    const canvas = document.createElement("canvas");
    const width = shots.reduce((sum, shot) => sum + shot.width + GAP, GAP);
    const height = Math.max(...shots.map((shot) => shot.height)) + HEADING + GAP;
    canvas.width = width * SHARPER;
    canvas.height = height * SHARPER;
    const pen = canvas.getContext("2d");
    pen.scale(SHARPER, SHARPER);
    pen.fillStyle = style("--paper");
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = style("--ink");
    pen.font = "600 14px system-ui, sans-serif";
    let left = GAP;
    for (const shot of shots) {
      pen.fillText(shot.heading, left, 21, shot.width);
      if (shot.behind) {
        const [x, y, ...size] = shot.behind.place;
        pen.filter = shot.behind.filter;
        pen.drawImage(shot.behind.picture, left + x, HEADING + y, ...size);
        pen.filter = "none";
      }
      pen.drawImage(shot.picture, left, HEADING, shot.width, shot.height);
      left += shot.width + GAP;
    }
    return canvas;
  }

  function keep(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".save-picture");
    if (!button) return;
    const graphs = button.closest(".saving").parentElement.querySelectorAll(".js-plotly-plot");
    const shots = await Promise.all([...graphs].map(shoot));
    if (!shots.length) return;
    paste(shots).toBlob((blob) => keep(blob, `${button.dataset.name}.png`), "image/png");
  });

  // A file has the trust card of its map where the page has it when the link is used.
  function withCard(event) {
    const link = event.target.closest(".saving a");
    const panel = link && link.closest(".panel");
    if (!panel) return;
    const plain = link.getAttribute("href").replace(CARD, "");
    const seen = panel.querySelector(".trust .findings");
    link.setAttribute("href", seen ? plain + CARD : plain);
  }

  for (const kind of ["click", "auxclick", "contextmenu"]) {
    document.addEventListener(kind, withCard, true);
  }
})();

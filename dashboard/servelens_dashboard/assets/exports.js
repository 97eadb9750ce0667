// Pictures of graphs as they look now, with their colours, opacity and threshold.
(function () {
  "use strict";

  const SHARPER = 2;
  const GAP = 16;
  const HEADING = 32;

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function load(source) {
    return new Promise((resolve, reject) => {
      const picture = new Image();
      picture.onload = () => resolve(picture);
      picture.onerror = reject;
      picture.src = source;
    });
  }

  // One graph, with the heading that it stands under.
  async function shoot(graph) {
    const size = { width: graph.clientWidth, height: graph.clientHeight };
    const source = await window.Plotly.toImage(graph, { format: "png", scale: SHARPER, ...size });
    const heading = graph.closest("section, #channel, .stage").querySelector("h2, h3");
    return { picture: await load(source), heading: heading ? heading.textContent : "", ...size };
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
})();

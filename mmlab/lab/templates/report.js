// Figures take the page's colours, light or dark, and follow a change; "Reset zoom" shows the whole run again.
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const models = () => Bokeh.documents.flatMap((doc) => doc.roots().flatMap((root) => [...root.references()]));
  const colours = (model, ink, soft, grid) => {
    if (model.type.endsWith("Axis")) return { major_label_text_color: soft, axis_label_text_color: soft };
    if (model.type === "Grid") return { grid_line_color: model.grid_line_color == null ? null : grid };
    if (model.type === "Legend") return { label_text_color: soft };
    if (model.type === "LabelSet") return { text_color: ink };
    return model.tags.includes("ink") && "line_color" in model ? { line_color: ink } : {};
  };
  const paint = () => {
    const [ink, soft, grid] = [css("--ink"), css("--soft"), css("--grid")];
    for (const model of models()) model.setv(colours(model, ink, soft, grid));
  };
  const fit = () => {
    const width = document.querySelector("main").clientWidth;
    for (const model of models()) {
      if (model.type === "Legend") model.ncols = width < 560 ? 3 : "auto";
      if (model.type === "DatetimeTicker") model.desired_num_ticks = Math.max(3, Math.min(10, Math.round(width / 110)));
    }
  };
  const ready = () => {
    if (!window.Bokeh || !Bokeh.documents.length) return void setTimeout(ready, 20);
    paint();
    fit();
    addEventListener("resize", fit);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
    if (matchMedia("(pointer: coarse)").matches) {  // a finger on a figure scrolls the page
      for (const model of models()) if (model.type === "Toolbar") model.active_drag = null;
    }
    const plots = models().filter((model) => model.tags.includes("time"));
    if (!plots.length) return;
    const range = plots[0].x_range;
    const [start, end] = [range.start, range.end];
    for (const button of document.querySelectorAll("button.reset")) {
      button.addEventListener("click", () => range.setv({ start, end }));
    }
    document.documentElement.dataset.ready = "yes";
  };
  ready();
})();

"""A report in a real browser: it draws, asks nobody for anything, zooms as one, and follows light and dark."""

from __future__ import annotations

import pytest

from mmlab.lab.report import PANELS
from tests.lab.fabricated import make_run

RANGES = """() => Bokeh.documents[0].roots().filter((root) => root.tags.includes("time"))
                    .map((root) => [root.x_range.start, root.x_range.end])"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = make_run(600, halted=True, rerun=lambda run, **changes: make_run(60, seed=7, feed=run.feed))
    return run.report(tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def open_report(browser, report):
    contexts = []

    def open_report(width=1280, height=800, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.requests, page.complaints = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda line: line.type in {"error", "warning"} and page.complaints.append(line.text))
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        page.wait_for_timeout(300)
        return page

    yield open_report
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_it_draws_and_asks_nobody(open_report, artefacts, report, width, height, scheme):
    page = open_report(width, height, color_scheme=scheme)
    page.screenshot(path=artefacts / f"report-{width}-{scheme}.png", full_page=True)
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawn = page.evaluate(
        """() => Bokeh.documents[0].roots().map((root) => {
             const box = Bokeh.index.get_by_id(root.id).el.getBoundingClientRect();
             return [root.name, box.width, box.height];
           })"""
    )
    assert [name for name, _, _ in drawn] == [*PANELS, "bridge", "curve"]
    assert all(w > 0.7 * min(width, 500) and h >= 80 for _, w, h in drawn)


def test_ink_follows_the_colour_scheme(open_report):
    page = open_report(color_scheme="light")
    ink = """() => [...Bokeh.documents[0].get_model_by_name("pnl").references()]
                  .find((model) => model.type === "Line" && model.tags.includes("ink")).line_color.value"""
    light = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(light) => ({ink})() !== light", arg=light)


def test_all_figures_zoom_together_and_back(open_report):
    page = open_report()
    before = page.evaluate(RANGES)
    assert len(before) == len(PANELS)
    box = page.evaluate(
        """() => { const {x, y, width, height} = Bokeh.index.get_by_id(
             Bokeh.documents[0].get_model_by_name("price").id).el.getBoundingClientRect();
             return {x, y: y + scrollY, width, height}; }"""
    )
    bottom = "() => Bokeh.documents[0].get_model_by_name('price').y_range.start"
    start_of_y = page.evaluate(bottom)
    page.evaluate("(y) => scrollTo(0, y)", box["y"] - 50)
    page.mouse.move(box["x"] + 0.4 * box["width"], 250)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], 260, steps=5)
    page.mouse.up()
    page.wait_for_timeout(200)
    zoomed = page.evaluate(RANGES)
    assert len({tuple(pair) for pair in zoomed}) == 1
    (start, end), (low, high) = before[0], zoomed[0]
    assert start < low < high < end
    assert (high - low) / (end - start) == pytest.approx(0.2, abs=0.05)
    assert page.evaluate(bottom) != start_of_y
    page.get_by_role("button", name="Reset zoom").click()
    assert page.evaluate(RANGES) == before


def test_a_fill_explains_itself(open_report):
    page = open_report()
    at = page.evaluate(
        """() => { const plot = Bokeh.documents[0].get_model_by_name("price");
             const view = Bokeh.index.get_by_id(plot.id);
             const fills = plot.renderers.find((r) => r.glyph.type === "Scatter").data_source.data;
             const box = view.canvas_view.el.getBoundingClientRect();
             const i = Math.floor(fills.x.length / 2);
             scrollTo(0, box.y + scrollY - 100);
             const [x, y] = [view.frame.x_scale.compute(fills.x[i]), view.frame.y_scale.compute(fills.price[i])];
             return [box.x + x, 100 + y]; }"""
    )
    page.mouse.move(at[0] - 3, at[1])
    page.mouse.move(*at, steps=3)
    page.wait_for_timeout(300)
    assert page.get_by_text("position after").first.is_visible()
    assert page.get_by_text("markout 1 s").first.is_visible()

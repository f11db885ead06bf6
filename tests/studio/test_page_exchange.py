"""Files into and out of the page, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.studio.visit import PROMPT, Visit


@pytest.mark.parametrize("format_", ["ati", "kjnodes", "comfyui", "vace"])
def test_what_other_tools_get_can_come_back(visit: Visit, tmp_path: Path, format_: str) -> None:
    page = visit.page
    page.fill("#prompt", "A balloon moves from left to right above a house")
    page.locator("#plan").click()
    page.locator(".boxes .box").nth(1).wait_for()
    before = visit.layout()
    page.locator("#export-format").select_option(format_)
    with page.expect_download() as download:
        page.locator("#export").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    while page.locator(".object").count():
        page.locator('.object [title="Delete"]').first.click()
        page.wait_for_timeout(50)
    page.locator("#import-file").set_input_files(file)
    page.locator("#message").wait_for()
    if format_ == "vace":  # a video of boxes has no names: it goes out only
        assert file.suffix == ".mp4" and file.read_bytes()[4:8] == b"ftyp"
        assert "is a video" in page.locator("#message").inner_text() and visit.refusals == 1
        return
    after = visit.layout()
    assert [item["phrase"] for item in after] == ["balloon", "house"] and visit.refusals == 0
    for old, new in zip(before, after, strict=True):
        for at in (0, -1):
            a, b = (item["key_frames"][at]["box"] for item in (old, new))
            assert [b[side] for side in a] == pytest.approx(list(a.values()), abs=0.02)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("layout.json", b'{"version": 1, "prompt": "a dog", "objects": [{"id": "<b>"}]}'),
        ("broken.json", b"{"),
        ("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        ("empty.json", b""),
    ],
)
def test_wrong_files_are_refused_with_a_reason(visit: Visit, name: str, content: bytes) -> None:
    page = visit.page
    page.fill("#prompt", PROMPT)
    visit.draw((0.2, 0.2), (0.5, 0.6))
    before = visit.layout()
    page.locator("#import-file").set_input_files({"name": name, "mimeType": "application/json", "buffer": content})
    page.locator("#message").wait_for()
    assert page.locator("#message strong").inner_text().startswith(f"“{name}”")
    assert visit.layout() == before and visit.refusals == 1
    page.locator("#message-close").click()
    visit.draw((0.6, 0.5), (0.9, 0.9))
    assert len(visit.layout()) == 2

#!/usr/bin/env python3
"""Opens pages in headless Chromium, light and dark, on a desktop and a phone.

report_browser.py FOLDER PAGE[=ID,ID...]...
    screenshots go to FOLDER; ends with 1 if a page writes to the console, draws no chart in the
    element of an ID, has an empty chart, or is wider than its window.
report_browser.py --check
    ends with 0 if Chromium can run here.
"""

import json
import os
import re
import struct
import subprocess
import sys
import tempfile

SCHEMES = {"light": "1", "dark": "0"}  # Blink's preferredColorScheme
# A headless window is at least 500 wide: a phone is a frame in one.
WIDTHS = {"desktop": 1280, "phone": 390}
HEIGHT = 5000
SECONDS = 120

# Measures the page from outside it, so that the page itself needs no script; with #measure, all of
# it, what is folded away too.
FRAME = """<!DOCTYPE html><html><body style="margin:0"><iframe id="page" src="{page}"
style="border:0;width:{width}px;height:{height}px"></iframe><script>
onload = () => {{
  const page = document.getElementById("page").contentDocument;
  if (location.hash == "#measure") page.querySelectorAll("details").forEach(d => d.open = true);
  const missing = {ids}.filter(id => {{
    const chart = page.getElementById(id)?.querySelector("svg.chart");
    const box = chart?.getBoundingClientRect();
    return !chart || box.width < 200 || box.height < 40 ||
      !chart.querySelector("path, rect, image, circle");
  }});
  const bad = [...page.querySelectorAll("svg.chart")].filter(
    chart => chart.getBoundingClientRect().height < 40 || !chart.childElementCount);
  const broken = [...page.querySelectorAll("svg.chart text, svg.chart path")].filter(
    e => /NaN|inf/.test(e.outerHTML));
  document.title = "charts=" + page.querySelectorAll("svg.chart").length + " bad=" + bad.length +
    " broken=" + broken.length + " over=" + (page.documentElement.scrollWidth - {width}) +
    " missing=" + missing.join(",") + ";";
}};
</script></body></html>"""


def chromium(arguments, scheme):
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
                   "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
                   "--allow-file-access-from-files", f"--user-data-dir={profile}",
                   "--enable-logging=stderr",
                   f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def check_page(page, ids, folder, scheme, device):
    """Problems of one page in one setting; `ids`: of the elements that must have a chart."""
    name = f"{os.path.basename(page)} ({scheme}, {device})"
    width = WIDTHS[device]
    stem = os.path.splitext(os.path.basename(page))[0]
    frame = os.path.join(folder, f"{stem}-{scheme}-{device}.html")
    with open(frame, "w", encoding="utf-8") as file:
        file.write(FRAME.format(page="file://" + os.path.abspath(page), width=width, height=HEIGHT,
                                ids=json.dumps(ids)))
    picture = frame[:-len("html")] + "png"
    window = f"--window-size={max(width, 500)},{HEIGHT}"
    drawn = chromium([window, f"--screenshot={picture}", "file://" + frame], scheme)
    dumped = chromium([window, "--dump-dom", "file://" + frame + "#measure"], scheme)
    problems = [f"{name}: {line}" for line in (drawn.stderr + dumped.stderr).splitlines()
                if "CONSOLE" in line]
    title = re.search(r"<title>charts=(\d+) bad=(\d+) broken=(\d+) over=(-?\d+) missing=(.*?);",
                      dumped.stdout)
    if not title:
        return problems + [f"{name}: the page did not load: {dumped.stderr[-500:]}"]
    charts, bad, broken, over = (int(group) for group in title.groups()[:4])
    if title.group(5):
        problems.append(f"{name}: no chart in {title.group(5)}")
    with open(page, encoding="utf-8") as file:
        expected = file.read().count('<svg class="chart"')
    if charts != expected or charts == 0:
        problems.append(f"{name}: {charts} charts of {expected}")
    if bad or broken:
        problems.append(f"{name}: {bad} charts are empty, {broken} elements have no number")
    if over > 0:
        problems.append(f"{name}: {over} pixels wider than the window")
    with open(picture, "rb") as file:
        shot_width, shot_height = struct.unpack(">II", file.read(24)[16:])
    print(f"{name}: {charts} charts, screenshot {shot_width} x {shot_height}")
    return problems


def main(arguments):
    if arguments == ["--check"]:
        try:
            return 0 if "charts" in chromium(
                ["--dump-dom", "data:text/html,<p>charts</p>"], "light").stdout else 1
        except (OSError, subprocess.TimeoutExpired):
            return 1
    folder, *pages = arguments
    os.makedirs(folder, exist_ok=True)
    problems = []
    for argument in pages:
        page, _, ids = argument.partition("=")
        expected = ids.split(",") if ids else []
        # Every setting for the first page; the others differ in their content only.
        settings = [(scheme, device) for scheme in SCHEMES for device in WIDTHS]
        for scheme, device in settings if argument == pages[0] else (settings[0], settings[-1]):
            problems += check_page(page, expected, folder, scheme, device)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

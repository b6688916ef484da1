"""A dashboard in the browser, and logs to make one of."""

import base64
import json
import re
import zlib

from fmbench import lines
from tests.programs import until

HOSTILE = "<script>alert(1)</script><b>&amp;%{x}"
WAVE = (0, 3, -3, 2, -2, 1, -1, 3, -3, 2, -2, 1, -1, 0, 2, -2, 1, -1, 0, 1)  # in thousandths: no drift, little spread


def log_text(model="org/m", dtype="float32", slower=1.0, inputs=(16, 64), batches=(1, 2, 4, 8, 16, 32), **facts):
    """A log in which a shape takes input x batch / 10 milliseconds, `slower` times; of 64 x 32 there was no memory."""
    began = 10**18 + zlib.crc32(repr((model, dtype, slower, inputs, batches, facts)).encode())  # of each another
    out = [lines.JsonLine("LOG", {"format": 1}), lines.Arg("model_name", model)]
    out.append(lines.JsonLine("ENV", {"platform": "cpu", "dtype": dtype, "model": model, "threads": 1, **facts}))
    for size in inputs:
        for batch in batches:
            place = {"input_size": size, "batch_size": batch}
            out.append(lines.JsonLine("CASE", {**place, "reps": len(WAVE)}))
            if (size, batch) == (64, 32):
                out.append(lines.JsonLine("ERR", {**place, "type": "OutOfMemoryError", "message": "too large"}))
                continue
            base = size * batch * slower * 1e5
            durations = [int(base * (1 + wave / 1000)) for wave in WAVE]
            starts = [began + k * 10**9 for k in range(len(WAVE))]
            out += [
                lines.Rep(k, len(WAVE), t, t + d, d) for k, (t, d) in enumerate(zip(starts, durations, strict=True), 1)
            ]
            end = starts[-1] + durations[-1]
            out.append(lines.Res(began, end, model, "C", size, batch, base / 1e6, 1e9 * batch / base))
    return "\n".join(line.format() for line in out) + "\n"


def unpacked(text, name):
    """Return what a page carries: `data`, or plotly's script."""
    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', text)
    return zlib.decompress(base64.b64decode(found[1])).decode()


class Page:
    """A page in the browser, as its reader meets it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1280):
        self.resize(width)
        self.driver.get("about:blank")
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # what there was before is read, and so forgotten
        self.driver.get(path.as_uri())
        self.until("document.documentElement.dataset.ready === 'true'")
        return self

    def resize(self, width):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def value(self, expression):
        return self.run(f"return {expression}")

    def until(self, expression):
        until(lambda: self.value(expression))

    def find(self, selector, text=None):
        found = self.driver.find_elements("css selector", selector)
        return next(element for element in found if text is None or text in element.text)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)", selector)

    def text(self, selector):
        return self.texts(selector)[0]

    def rows(self, section):
        rows = "[...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
        return self.run(f"return {rows}.map((row) => [...row.cells].map((cell) => cell.textContent))", section)

    def column(self, section, head):
        return [row[self.place(section, head)] for row in self.rows(section)]

    def place(self, section, head):
        return [text.rstrip(" ▲▼") for text in self.texts(f"#{section} thead th")].index(head)

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def choose(self, section, label, text):
        from selenium.webdriver.support.select import Select

        Select(self.find(f"#{section} label", label).find_element("tag name", "select")).select_by_visible_text(text)

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

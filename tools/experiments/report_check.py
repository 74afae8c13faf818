#!/usr/bin/env python3
"""What report_check.sh does where there is a browser: talks to it over a pipe (Chrome DevTools
Protocol, --remote-debugging-pipe: JSON messages that end with a zero byte), so nothing but Python's
own library is needed. Usage: report_check.py BROWSER [--shots DIR] PAGE..."""
import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

VIEWS = [("phone", 390, 844, "light"), ("phone-dark", 390, 844, "dark"),
         ("small-phone", 360, 740, "light"), ("desktop", 1440, 900, "light"),
         ("desktop-dark", 1440, 900, "dark")]

# Evaluated in the page: what is wrong, as a list of sentences.
PROBE = """(() => {
  const wrong = [], width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width)
    wrong.push('the page is ' + document.documentElement.scrollWidth + ' px wide in a window of ' + width);
  const figures = [...document.querySelectorAll('figure.chart')];
  if (!figures.length) wrong.push('no chart');
  for (const figure of figures) {
    const told = JSON.parse(figure.querySelector('script').textContent).curves;
    const drawn = figure.querySelectorAll('path.curve').length;
    if (told.some(curve => curve.x.length) && !drawn) wrong.push('chart ' + figure.id + ' draws no curve');
    const plot = figure.querySelector('.plot');
    const box = plot.getBoundingClientRect();
    if (!figure.closest('details:not([open])') && (box.width < 100 || box.height < 80))
      wrong.push('chart ' + figure.id + ' is ' + box.width + ' x ' + box.height + ' px');
    for (const [x, y] of [[0.01, 0.5], [0.5, 0.5], [0.99, 0.5]])
      plot.dispatchEvent(new PointerEvent('pointermove',
        {clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
    if (told.length && document.getElementById('tip').hidden && told[0].x.length)
      wrong.push('chart ' + figure.id + ' tells no value at the pointer');
    plot.dispatchEvent(new PointerEvent('pointerleave'));
  }
  return JSON.stringify({wrong, charts: figures.length, height: document.documentElement.scrollHeight});
})()"""


class Browser:
    def __init__(self, program):
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()
        self.profile = tempfile.mkdtemp(prefix="report-check-")

        def ends():  # the browser reads descriptor 3 and writes descriptor 4
            a, b = os.dup2(to_browser, 100), os.dup2(from_browser, 101)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--no-first-run", "--disable-dev-shm-usage", "--user-data-dir=" + self.profile,
             "--remote-debugging-pipe", "about:blank"],
            close_fds=False, preexec_fn=ends, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None

    def read(self):
        while b"\0" not in self.buffer:
            part = os.read(self.read_end, 1 << 16)
            if not part:
                raise SystemExit("report_check: the browser went away")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit("report_check: %s: %s" % (method, answer["error"]["message"]))
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.read())

    def open_tab(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


def complaints(events, url):
    for event in events:
        method, told = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            yield "exception: " + json.dumps(told["exceptionDetails"])[:300]
        elif method == "Runtime.consoleAPICalled":
            yield "console: " + json.dumps(told["args"])[:300]
        elif method == "Log.entryAdded":
            yield "console: " + told["entry"]["text"]
        elif method == "Network.requestWillBeSent":
            wanted = told["request"]["url"]
            if wanted != url and not wanted.startswith("data:"):
                yield "asks for " + wanted


def save(browser, path, height=None, width=None):
    clip = {"clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}} if height else {}
    shot = browser.call("Page.captureScreenshot", captureBeyondViewport=bool(height), **clip)
    path.write_bytes(base64.b64decode(shot["data"]))


def check(browser, page, shots):
    url = page.resolve().as_uri()
    bad = 0
    for view, width, height, scheme in VIEWS:
        browser.events.clear()
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=1, mobile=width < 600)
        browser.call("Emulation.setEmulatedMedia",
                     features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.call("Page.navigate", url=url)
        browser.wait_for("Page.loadEventFired")
        told = json.loads(browser.call("Runtime.evaluate", expression=PROBE)["result"]["value"])
        wrong = list(complaints(browser.events, url)) + told["wrong"]
        for sentence in wrong:
            print("%s, %s: %s" % (page, view, sentence))
        bad += len(wrong)
        print("report_check: %s, %s %d x %d: %d charts, %d problems" %
              (page, view, width, height, told["charts"], len(wrong)))
        if shots:
            save(browser, shots / ("%s-%s.png" % (page.stem, view)))
            save(browser, shots / ("%s-%s-full.png" % (page.stem, view)),
                 min(told["height"], 16000), width)
    return bad


def main():
    program, arguments, shots = sys.argv[1], sys.argv[2:], None
    if arguments[:1] == ["--shots"]:
        shots = pathlib.Path(arguments[1])
        shots.mkdir(parents=True, exist_ok=True)
        arguments = arguments[2:]
    browser = Browser(program)
    try:
        browser.open_tab()
        bad = sum(check(browser, pathlib.Path(page), shots) for page in arguments)
    finally:
        browser.close()
    raise SystemExit(1 if bad else 0)


main()

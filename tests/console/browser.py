"""One headless Chromium, spoken to over WebDriver with the standard library alone."""

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PATIENCE = 30.0


class Browser:
    """A window. What it asked the network for, and what it complained of, is kept."""

    def __init__(self, driver, chromium, folder):
        self.requests = []
        self.complaints = []
        self.process = subprocess.Popen(
            [driver, "--port=0", f"--log-path={folder}/chromedriver.log"], stdout=subprocess.PIPE, text=True
        )
        self.base = f"http://127.0.0.1:{self._port()}"
        arguments = [
            "--headless=new",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--no-default-browser-check",
            "--no-sandbox",  # for tests as root; the pages are ours
            "--renderer-process-limit=1",
            "--js-flags=--max-old-space-size=128",
            f"--user-data-dir={folder}/profile",
        ]
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": arguments, "perfLoggingPrefs": {"enableNetwork": True, "enablePage": False}},
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        }
        try:
            answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}}, timeout=60)
        except BaseException:
            self.process.kill()
            raise
        self.session = f"/session/{answer['sessionId']}"

    def _port(self):
        for line in self.process.stdout:
            if "successfully on port " in line:
                return int(line.rsplit("on port ", 1)[1].strip().rstrip("."))
        raise RuntimeError("chromedriver did not start")

    def _send(self, method, path, body=None, timeout=PATIENCE):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def _ask(self, method, path, body=None):
        return self._send(method, self.session + path, body)

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """The value of a script's `return`."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector):
        """The first element, once there is one."""
        return wait(f"an element {selector}", lambda: self._find(selector))

    def _find(self, selector):
        found = self._ask("POST", "/elements", {"using": "css selector", "value": selector})
        return found[0][ELEMENT] if found else None

    def has(self, selector):
        return self._find(selector) is not None

    def type(self, selector, text):
        element = self.find(selector)
        self._ask("POST", f"/element/{element}/clear", {})
        if text:
            self._ask("POST", f"/element/{element}/value", {"text": text})

    def press(self, keys):
        """Keys for whatever has the focus."""
        actions = [step for key in keys for step in ({"type": "keyDown", "value": key}, {"type": "keyUp", "value": key})]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def click(self, selector):
        self._ask("POST", f"/element/{self.find(selector)}/click", {})

    def text(self, selector="body"):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def sees(self, text, selector="body", patience=PATIENCE):
        """Waits until the text is shown."""
        try:
            return wait(f"{text!r}", lambda: text in self.text(selector), patience)
        except TimeoutError as error:
            raise AssertionError(f"{error}; shown is: {self.text(selector)[:2000]}") from None

    def size(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name):
        """Light or dark."""
        self.command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})

    def command(self, name, parameters):
        """One of the browser's own commands."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def picture(self, path):
        """The whole page, however long it is."""
        shot = self.command("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def gather(self):
        """Takes over what was logged since the last time."""
        for entry in self._ask("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["params"].get("documentURL", "").startswith("chrome://"):
                continue  # the browser's own first page
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"])
            elif message["method"] == "Network.webSocketCreated":
                self.requests.append(message["params"])
        self.complaints += [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def close(self):
        try:
            self._send("DELETE", self.session, timeout=10)
        finally:
            self.process.terminate()
            self.process.wait(10)


def wait(what, condition, patience=PATIENCE):
    """What the condition gives, once it gives something."""
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience:.0f} s for {what}")
        time.sleep(0.05)

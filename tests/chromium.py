"""A headless Chromium that tests drive by real mouse and key events, through the pipe of its own debugging protocol.

It needs no package and no driver, only the browser: the protocol's JSON goes over two file descriptors.
"""

import base64
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 120  # seconds to wait for an answer, on a machine under load
KEYS = {
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Tab": (9, ""),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "Home": (36, ""),
    "End": (35, ""),
    " ": (32, " "),
}


def find() -> str | None:
    """The path of a Chromium on this machine, if there is one."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Browser:
    """One page in a Chromium of its own. What its console told, and every address it asked for, is kept."""

    def __init__(self, program: str, profile: Path):
        theirs, self._send = os.pipe()
        self._receive, answers = os.pipe()
        words = [
            program,
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            *"--no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run".split(),
            *"--disable-background-networking --hide-scrollbars --force-color-profile=srgb".split(),
            "about:blank",
        ]
        # 3 and 4 are where Chromium reads and writes; first out of the way, should a pipe be one of them.
        high = [os.dup(theirs), os.dup(answers)]
        moves = [(os.POSIX_SPAWN_DUP2, high[0], 3), (os.POSIX_SPAWN_DUP2, high[1], 4)]
        null = os.open(os.devnull, os.O_WRONLY)
        moves += [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
        self._process = os.posix_spawn(program, words, os.environ, file_actions=moves, setpgroup=0)
        for end in (theirs, answers, null, *high):
            os.close(end)
        self._number, self._bytes, self._session = 0, b"", None
        self.console, self.requests, self.dialogs = [], [], []
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser and the processes it started, and only these: they are a group of their own."""
        os.close(self._send)
        deadline = time.monotonic() + 10
        while os.waitpid(self._process, os.WNOHANG) == (0, 0):  # it leaves by itself when its pipe is closed
            if time.monotonic() > deadline:
                os.killpg(self._process, signal.SIGKILL)
                os.waitpid(self._process, 0)
                break
            time.sleep(0.05)
        os.close(self._receive)

    def call(self, method: str, **parameters) -> dict:
        """One command of the protocol and its result. Raises RuntimeError for an error, TimeoutError for silence."""
        number = self._write(method, parameters)
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def open(self, address: str, width=1400, height=1000, dark=False, scale=1) -> None:
        """Show a page, in a window of this size in CSS pixels, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url="about:blank")  # or only the part behind # would change
        self.console.clear()
        self.requests.clear()
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str):
        """The value of a JavaScript expression, which may be a promise. Raises RuntimeError if it throws."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(script):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never came true: {script}")
            time.sleep(0.05)

    def click(self, selector: str, across: float = 0.5) -> None:
        """Press the mouse where an element is, `across` its width. It must be what lies on top there."""
        spot = self.run(f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: 'center', inline: 'center', behavior: 'instant'}});
            const b = e.getBoundingClientRect(), x = b.x + b.width * {across}, y = b.y + b.height / 2;
            const top = document.elementFromPoint(x, y);
            return top && (e.contains(top) || top.contains(e)) ? [x, y] : 'covered by ' + (top && top.outerHTML);
        }})()""")
        assert isinstance(spot, list), f"{selector} {spot}"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], button="left", clickCount=1)

    def key(self, *names: str) -> None:
        """Press keys, one after the other: a letter, or a name of KEYS."""
        for name in names:
            code, text = KEYS[name] if name in KEYS else (ord(name.upper()), name)
            about = {"key": name, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def choose(self, selector: str, value: str) -> None:
        """Take an option of a select as a person's choice does: its events bubble."""
        self.run(f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            e.value = {json.dumps(value)};
            for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, {{bubbles: true}}));
        }})()""")

    def text(self, selector: str) -> str:
        """What an element shows."""
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _write(self, method: str, parameters: dict) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        held = json.dumps(message).encode() + b"\0"
        while held:
            held = held[os.write(self._send, held) :]
        return self._number

    def _read(self) -> dict:
        while b"\0" not in self._bytes:
            if not select.select([self._receive], [], [], PATIENCE)[0]:
                raise TimeoutError(f"Chromium said nothing for {PATIENCE} s.")
            held = os.read(self._receive, 1 << 20)
            if not held:
                raise RuntimeError("Chromium has ended.")
            self._bytes += held
        message, _, self._bytes = self._bytes.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict) -> None:
        told = event.get("params", {})
        if event.get("method") == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(part.get("value", part.get("description"))) for part in told["args"]))
        elif event.get("method") == "Runtime.exceptionThrown":
            self.console.append(told["exceptionDetails"]["exception"].get("description", "an exception"))
        elif event.get("method") == "Log.entryAdded":
            self.console.append(told["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event.get("method") == "Page.javascriptDialogOpening":  # the page stands still until it is answered
            self.dialogs.append(told["message"])
            self._write("Page.handleJavaScriptDialog", {"accept": False})

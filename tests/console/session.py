"""The console, page by page, in one browser."""

import json
import os
import subprocess
import sys
import tempfile
import traceback

from browser import Browser, wait

BINARY, CHROMIUM, BASE, HOME = sys.argv[1:5]
HERE = os.path.dirname(os.path.abspath(__file__))
KEY = os.environ["QUORATE_KEY"]
PICTURES = os.environ.get("QUORATE_SCREENSHOTS") or f"{tempfile.gettempdir()}/quorate-console"
MARKUP = "<img src=x onerror=\"window.pwned='context'\">"
WIDTHS = (1280, 390)


def quorate(*arguments, stdin=None):
    """What a command prints as JSON."""
    ran = subprocess.run([BINARY, *arguments, "--json"], input=stdin, capture_output=True, text=True, timeout=30)
    if ran.returncode not in (0, 3):
        raise AssertionError(f"quorate {' '.join(arguments)}: {ran.stderr}")
    return json.loads(ran.stdout.splitlines()[-1])


def index_of(answer):
    return str(quorate("zookie", "inspect", answer["zookie"])["index"])


def page(browser, name):
    browser.run("location.hash = arguments[0]", f"#/{name}")
    browser.find(f"#nav a[data-page={name}][aria-current]")


def log_in(browser, key=KEY):
    browser.type("#key", key)
    browser.click("form.login button")


def ask(browser, resource, permission, subject, context=""):
    page(browser, "explain")
    for name, text in (("resource", resource), ("permission", permission), ("subject", subject), ("context", context)):
        browser.type(f"#ask-{name}", text)
    browser.run("document.querySelector('.outcome').replaceChildren()")
    browser.click(".ask button[type=submit]")
    browser.find(".outcome > *")


def a_wrong_key_shows_nothing(browser):
    browser.open(BASE + "/")
    browser.find("#key")
    assert browser.run("return document.activeElement.id") == "key", "the key can be typed in at once"
    log_in(browser, "wrong")
    browser.sees("does not know the key", ".login")
    assert not browser.has(".node"), "no node is shown"
    assert browser.run("return sessionStorage.length") == 0, "a wrong key is not kept"


def a_key_shows_three_nodes(browser):
    log_in(browser)
    wait("three nodes", lambda: browser.run("return document.querySelectorAll('.node').length") == 3)
    states = browser.run("return [...document.querySelectorAll('.node')].map((node) => node.dataset.state).sort()")
    assert states == ["follower", "follower", "leader"], states
    lineage = quorate("cluster", "status")["lineage"]
    browser.sees(lineage, "h1")
    wait("rates", lambda: "–" not in browser.text(".node.leads dl"))
    kept = browser.run("return [sessionStorage.length, localStorage.length, document.cookie]")
    assert kept == [1, 0, ""], kept
    browser.run("location.reload()")
    wait("the key is kept for the tab", lambda: browser.run("return document.querySelectorAll('.node').length") == 3)


def the_schema_is_a_graph(browser):
    with open(f"{HERE}/vault.zed", encoding="utf-8") as file:
        quorate("schema", "write", "-", stdin=file.read())
    page(browser, "schema")
    browser.find(".graph")
    boxes = browser.run("return [...document.querySelectorAll('.box')].map((box) => box.dataset.definition).sort()")
    assert boxes == ["document", "folder", "group", "user"], boxes
    rows = browser.run("return [...document.querySelectorAll('.row.permission')].map((row) => row.dataset.row).sort()")
    assert rows == ["document#edit", "document#view", "folder#edit", "folder#view"], rows
    relations = browser.run("return document.querySelectorAll('.row.relation').length")
    assert relations == 7, relations
    edges = browser.run(
        "return [...document.querySelectorAll('.edge')].map((e) => [e.dataset.from, e.dataset.to, e.classList[1]].join(' '))"
    )
    for edge in (
        "document#parent folder holds",
        "document#viewer group#member holds",
        "document#viewer user holds",
        "group#member group#member holds",
        "document#view document#banned uses",
        "document#view folder#view arrow",
        "document#edit folder#edit arrow",
        "folder#view folder#edit uses",
    ):
        assert edge in edges, f"{edge} is not among {edges}"
    assert len(edges) == len(set(edges)) == 21, sorted(edges)
    overlaps = browser.run(
        """const boxes = [...document.querySelectorAll('.frame')].map((frame) => frame.getBoundingClientRect());
        return boxes.some((a, at) => boxes.slice(at + 1).some((b) =>
            a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom))"""
    )
    assert not overlaps, "boxes overlap"
    browser.sees("A ban beats everything.", ".source")


def the_graph_is_for_keyboards_too(browser):
    browser.run("document.querySelector('[data-row=\"document#view\"]').focus()")
    browser.press("\ue007")
    browser.sees("= (viewer + edit + parent->view) - banned", ".panel")
    lit = browser.run("return [...document.querySelectorAll('.row.lit')].map((row) => row.dataset.row)")
    assert "folder#owner" in lit and "group#member" in lit, lit
    browser.press("\ue00c")
    browser.sees("Choose a relation", ".panel")


def checks_are_explained(browser):
    ask(browser, "document:roadmap", "view", "user:ada")
    browser.sees("Allowed", ".answer")
    browser.sees("document:roadmap#parent@folder:plans", ".proof")
    wait("indexes", lambda: "at " in browser.text(".proof .notes"))
    ask(browser, "document:roadmap", "view", "user:ivo")
    browser.sees("Denied", ".answer")
    browser.sees("document:roadmap#banned@user:ivo", ".proof")
    browser.sees("takes away", ".proof")
    token = browser.text(".zookie code")
    shown = browser.text(".answer")
    assert str(quorate("zookie", "inspect", token)["index"]) in shown, shown


def a_condition_says_what_it_needs(browser):
    context = json.dumps({"wanted": MARKUP})
    quorate("relationship", "touch", f"document:safe#viewer@user:eve[here:{context}]")
    ask(browser, "document:safe", "view", "user:eve")
    browser.sees("Conditional", ".answer")
    assert browser.text(".chips").strip() == "place"
    browser.sees("needs place", ".proof")
    browser.sees(json.dumps(MARKUP), ".proof")
    browser.click(".outcome button.quiet")
    assert json.loads(browser.run("return document.querySelector('#ask-context').value")) == {"place": ""}
    ask(browser, "document:safe", "view", "user:eve", json.dumps({"place": MARKUP}))
    browser.sees("Allowed", ".answer")
    ask(browser, "document:safe", "view", "user:eve", json.dumps({"place": "elsewhere"}))
    browser.sees("Denied", ".answer")


def mistakes_are_said(browser):
    ask(browser, f"document:{MARKUP}", "view", "user:eve")
    wait("an error", lambda: browser.has(".outcome .notice.bad"))
    ask(browser, "document:safe", "view", "user:eve", "{")
    browser.sees("The context is no JSON", ".outcome")
    ask(browser, "document:safe", "absent", "user:eve")
    browser.sees("UNKNOWN_RELATION_OR_PERMISSION", ".outcome")


def changes_appear_as_they_happen(browser):
    page(browser, "changes")
    browser.sees("a new schema", ".changes")
    written = quorate("relationship", "touch", "document:fresh#viewer@user:zoe")
    browser.sees("document:fresh#viewer@user:zoe", ".changes")
    first = browser.run("return document.querySelector('.change').dataset.index")
    assert first == index_of(written), (first, written)
    gone = quorate("relationship", "delete", "document:fresh#viewer@user:zoe")
    wait("the newest is first", lambda: browser.run("return document.querySelector('.change').dataset.index") == index_of(gone))
    browser.sees("delete", ".change")
    browser.sees(json.dumps({"wanted": MARKUP}, separators=(",", ":")), ".changes")


def names_never_become_markup(browser):
    for name in ("schema", "changes", "cluster", "explain"):
        page(browser, name)
        wait("the page", lambda: browser.run("return document.querySelector('main').innerText.length") > 30)
    found = browser.run(
        "return [window.pwned ?? null, document.querySelectorAll('main img, main script, main iframe, main a').length]"
    )
    assert found == [None, 0], found


def pictures_are_taken(browser):
    os.makedirs(PICTURES, exist_ok=True)
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for width in WIDTHS:
            browser.size(width, 900)
            for name in ("cluster", "schema", "changes", "explain"):
                page(browser, name)
                wait("the page", lambda: browser.run("return document.querySelector('main').innerText.length") > 80)
                if name == "schema":
                    browser.find(".graph")
                if name == "explain":
                    ask(browser, "document:roadmap", "view", "user:ivo")
                    browser.find(".proof")
                wide = browser.run("return document.documentElement.scrollWidth")
                assert wide <= width, f"{name} is {wide} wide on a screen of {width}"
                browser.picture(f"{PICTURES}/{name}-{width}-{scheme}.png")
    browser.scheme("light")
    browser.size(1280, 900)


def a_node_that_dies_goes_red(browser):
    page(browser, "cluster")
    wait("all answer", lambda: browser.run("return document.querySelectorAll('.node.bad').length") == 0)
    os.kill(process_of(f"{HOME}/dev/node-3"), 9)
    browser.find(".node.bad[data-node='3'][data-state='no answer']")
    browser.sees("Node 3 does not answer", "main")
    border = browser.run(
        "const style = getComputedStyle(document.querySelector('.node.bad')); return [style.borderColor, style.getPropertyValue('--bad')]"
    )
    red = browser.run(
        "const probe = document.createElement('i'); probe.style.color = arguments[0]; document.body.append(probe);"
        "const is = getComputedStyle(probe).color; probe.remove(); return is",
        border[1],
    )
    assert border[0] == red, (border, red)
    wait("another leads", lambda: browser.has(".node.leads"))
    browser.picture(f"{PICTURES}/silent-1280-light.png")


def process_of(data):
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", encoding="utf-8") as file:
                if data in file.read().split("\0"):
                    return int(process)
        except OSError:
            continue
    raise AssertionError(f"no process works on {data}")


def nothing_was_asked_elsewhere_and_nothing_was_blocked(browser):
    browser.gather()
    urls = {request["url"] for request in browser.requests}
    assert len(browser.requests) > 30, len(browser.requests)
    elsewhere = [url for url in urls if not url.startswith(BASE + "/")]
    assert not elsewhere, elsewhere
    keyed = [request for request in browser.requests if KEY in request["url"]]
    assert not keyed, "a key stands in an address"
    # The wrong key, and the questions that were mistakes, are told by the browser as well.
    told = [text for text in browser.complaints if "Failed to load resource" not in text]
    assert not told, told


def a_script_that_got_in_would_not_run(browser):
    refused = browser.run(
        """try { document.body.innerHTML = '<b>x</b>'; return 'taken'; } catch (error) { return error.name; }"""
    )
    assert refused == "TypeError", refused
    browser.run(
        """const button = document.createElement('button'); button.setAttribute('id', 'trap');
        try { button.setAttribute('onclick', 'window.pwned = 1'); } catch { return; }
        document.body.append(button); button.click();"""
    )
    assert browser.run("return window.pwned ?? null") is None, "an inline handler ran"


def the_key_can_be_forgotten(browser):
    browser.click("#leave")
    browser.find("#key")
    assert browser.run("return sessionStorage.length") == 0
    assert not browser.has(".node")


STEPS = (
    a_wrong_key_shows_nothing,
    a_key_shows_three_nodes,
    the_schema_is_a_graph,
    the_graph_is_for_keyboards_too,
    checks_are_explained,
    a_condition_says_what_it_needs,
    mistakes_are_said,
    changes_appear_as_they_happen,
    names_never_become_markup,
    pictures_are_taken,
    a_node_that_dies_goes_red,
    nothing_was_asked_elsewhere_and_nothing_was_blocked,
    a_script_that_got_in_would_not_run,
    the_key_can_be_forgotten,
)


def main():
    failed = 0
    browser = Browser("chromedriver", CHROMIUM, HOME)
    try:
        browser.size(1280, 900)
        for step in STEPS:
            name = step.__name__.replace("_", " ")
            try:
                step(browser)
                print(f"ok      {name}", flush=True)
            except Exception:  # noqa: BLE001  each step says for itself what went wrong
                failed += 1
                print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    finally:
        browser.close()
    print(f"pictures of the pages are in {PICTURES}")
    print(f"{len(STEPS) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())

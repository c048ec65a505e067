"""A plugin that does whatever its settings say, however hostile: for the conformance suite of the host.

The settings are {"act": NAME}; the acts have the same names in every language.
"""

import json
import os
import socket
import sys

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import resources as phase
from wit_world.exports import setup
from wit_world.imports import key_value, log, pseudonym
from wit_world.imports.types import Direction

CALM = b'{"calm":true}'

settings: dict = {}
remembered: list = []


class Setup(exports.Setup):
    def configure(self, text, files):
        settings.update(json.loads(text))
        if settings.get("act") == "bad-settings":
            raise Err([setup.Problem(None, 0, 0, "/act", "is bad-settings")])
        both = [Direction.TO_SERVER, Direction.TO_CLIENT]
        return setup.Plan([setup.Interest("resources", [], [], both, [])], [], [])


class Resources(exports.Resources):
    def process(self, exchange, direction, resources):
        if resources[0].content == CALM:
            return [phase.Verdict_Keep() for _ in resources]
        return act(settings.get("act"), resources)


def act(name, resources):
    if name == "network":
        return say(resources, network())
    if name == "file":
        return say(resources, files())
    if name == "environment":
        return say(resources, [*os.environ, *sys.argv[1:]])
    if name == "key-value":
        return say(resources, code(lambda: key_value.get(["secret"])))
    if name == "remember":
        seen = list(remembered)
        remembered.append("a patient")
        return say(resources, seen)
    if name == "bomb":
        hoard = []
        while True:
            hoard.append(bytearray(b"x") * (1 << 20))
    if name == "loop":
        while True:
            pass
    if name == "recursion":
        sys.setrecursionlimit(1 << 30)
        return act(name, resources)
    if name == "giant-strings":
        text = "x" * (8 << 20)
        log.write(log.Level.INFO, text)
        pseudonym.tokens(text, [text] * 1000)
        return say(resources, [])
    if name == "malformed":
        return ["keep" for _ in resources]
    if name == "out-of-range":
        return [phase.Verdict_Edits([phase.Edit(0, 0xFFFFFFFF, b"")]) for _ in resources]
    if name == "wrong-count":
        return []
    return [phase.Verdict_Keep() for _ in resources]


def say(resources, found):
    text = json.dumps(found).encode()
    return [phase.Verdict_Replace(text) for _ in resources]


def network():
    found = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            one = socket.socket(socket.AF_INET, kind)
            one.connect(("127.0.0.1", 1))
            found.append(f"connected {kind}")
        except Exception:
            pass
        try:
            one = socket.socket(socket.AF_INET, kind)
            one.bind(("127.0.0.1", 0))
            found.append(f"bound {kind}")
        except Exception:
            pass
    try:
        found.append(str(socket.getaddrinfo("localhost", 80)))
    except Exception:
        pass
    return found


def files():
    found = []
    for path in ("/etc/passwd", "/proc/self/environ", "Cargo.toml", "../Cargo.toml"):
        try:
            found.append(open(path).read()[:10])
        except Exception:
            pass
    for path in ("/", "."):
        try:
            found += os.listdir(path)
        except Exception:
            pass
    try:
        open("/tmp/fireguard-guest", "w").write("x")
        found.append("written")
    except Exception:
        pass
    return found


def code(call):
    try:
        call()
        return ["answered"]
    except Err as error:
        return [error.value.code]

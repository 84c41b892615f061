"""Random caveats over all parameter types, and contexts for them. A parameter's name says its type, so that the caveats of
a schema share names and one context speaks to several of them.
"""

import re

from schema import Caveat

KINDS = {
    "i": ("int", [0, 1, 5, -3, "7", 4.0], ["x", 1.5, True, [1]]),
    "u": ("uint", [0, 1, 6, "9"], [-1, "x", 0.5]),
    "f": ("double", [0, 1.5, -2, "2.5"], ["x", [], False]),
    "s": ("string", ["", "x", "abc", "añb"], [1, True, ["x"]]),
    "b": ("bool", [True, False], ["true", 1]),
    "y": ("bytes", ["YWJj", "", "AAE="], ["%%", 3]),
    "t": ("timestamp", ["2020-01-01T00:00:00Z", "2030-06-01T12:00:00+02:00", "1999-12-31T23:59:59.5Z"], ["yesterday", 7]),
    "d": ("duration", ["1h", "30m", "90s", "-5s", "1.5h"], ["long", 5]),
    "l": ("list<string>", [[], ["x"], ["abc", "x"]], ["x", [1], {}]),
    "n": ("list<int>", [[], [1], [5, -3, 1]], [["x"], 3]),
    "m": ("map<any>", [{}, {"k": "x"}, {"k": 1, "o": {"p": True}}], ["x", []]),
    "q": ("map<string>", [{}, {"k": "x"}, {"k": "abc", "j": ""}], [{"k": 1}, "x"]),
    "a": ("any", ["x", 1, True, [1], {"k": 1}], [None]),
    "p": ("ipaddress", ["10.1.2.3", "192.168.0.1", "::ffff:10.0.0.1", "2001:db8::1"], ["10.1.2", 4]),
}
WORDS = ["x", "abc", "k", ""]
NETWORKS = ["10.0.0.0/8", "192.168.0.0/24", "2001:db8::/32", "::ffff:10.0.0.0/104"]


class Writer:
    """Writes one expression, and notes the parameters that it uses."""

    def __init__(self, rng):
        self.rng = rng
        self.used = {}

    def parameter(self, kind):
        name = f"{kind}{self.rng.randrange(2)}"
        self.used[name] = KINDS[kind][0]
        return name

    def bool(self, depth):
        if depth > 0 and self.rng.random() < 0.45:
            operator = self.rng.choice(["&&", "||", "!", "?"])
            if operator == "!":
                return f"!({self.bool(depth - 1)})"
            if operator == "?":
                return f"({self.bool(depth - 1)} ? {self.bool(depth - 1)} : {self.bool(depth - 1)})"
            return f"({self.bool(depth - 1)} {operator} {self.bool(depth - 1)})"
        return self.rng.choice(
            [self.numbers, self.strings, self.flags, self.times, self.lists, self.maps, self.addresses, self.anything]
        )()

    def comparison(self):
        return self.rng.choice(["<", "<=", ">", ">=", "==", "!="])

    def numbers(self):
        # Not `1u`: a parameter of type uint is an int in expressions, which SpiceDB forgets after a comprehension.
        kind, literals = self.rng.choice([("i", ["0", "1", "5", "-3"]), ("u", ["0", "1", "6"]), ("f", ["0.0", "1.5"])])
        left, right = self.parameter(kind), self.rng.choice([*literals, self.parameter(kind)])
        if kind == "i" and self.rng.random() < 0.4:
            left = f"({left} {self.rng.choice('+-*/%')} {self.rng.choice(['2', '0', self.parameter('i')])})"
        if kind != "f" and self.rng.random() < 0.15:
            left, right = f"double({left})", self.parameter("f")
        return f"{left} {self.comparison()} {right}"

    def string(self):
        return self.rng.choice([self.parameter("s"), f'"{self.rng.choice(WORDS)}"', f"({self.parameter('s')} + \"x\")"])

    def strings(self):
        name = self.parameter("s")
        return self.rng.choice(
            [
                f"{name} {self.comparison()} {self.string()}",
                f'{name}.{self.rng.choice(["startsWith", "endsWith", "contains"])}({self.string()})',
                f'{name}.matches("^[a-b]+")',
                f"size({name}) > 1",
                f'{self.parameter("y")} == b"abc"',
                f"int({name}) > 3",
            ]
        )

    def flags(self):
        name = self.parameter("b")
        return self.rng.choice([name, f"!{name}", f"{name} == {self.parameter('b')}"])

    def times(self):
        time, span = self.parameter("t"), self.parameter("d")
        return self.rng.choice(
            [
                f"{time} {self.comparison()} {self.parameter('t')}",
                f'{time} > timestamp("2024-01-01T00:00:00Z")',
                f'{span} {self.comparison()} duration("45m")',
                f'{time} + {span} > timestamp("2024-01-01T00:00:00Z")',
                f"{time} - {self.parameter('t')} > {span}",
                f"{time}.getFullYear() == 2030",
                f"{time}.getHours() < 11",
            ]
        )

    def lists(self):
        words, numbers = self.parameter("l"), self.parameter("n")
        return self.rng.choice(
            [
                f"{self.string()} in {words}",
                f"{numbers}.exists(e, e > {self.parameter('i')})",
                f"{numbers}.all(e, e < 3)",
                f"{words}.exists_one(e, e == {self.string()})",
                f"{numbers}[0] == 1",
                f"size({words}) == {self.rng.randrange(3)}",
                f"{numbers}.map(e, e + 1) == [2]",
                f"{words}.filter(e, e != {self.parameter('s')}).size() > 0",
            ]
        )

    def maps(self):
        loose, strict = self.parameter("m"), self.parameter("q")
        return self.rng.choice(
            [
                f'{loose}.k == "x"',
                f"has({loose}.k)",
                f'{strict}["k"] == {self.string()}',
                f'"k" in {strict}',
                f"{loose}.isSubtreeOf({self.parameter('m')})",
                f"size({strict}) > 0",
                f"{loose}.o.p",
                f'{strict}[?"k"].orValue("x") == "x"',
            ]
        )

    def addresses(self):
        network = self.rng.choice([self.parameter("s"), *(f'"{network}"' for network in NETWORKS)])
        return f"{self.parameter('p')}.in_cidr({network})"

    def anything(self):
        name = self.parameter("a")
        return self.rng.choice([f'{name} == "x"', f"{name} == 1", f"{name}.k == 1", f"{name} == {self.parameter('a')}"])


def random_caveat(rng, name):
    writer = Writer(rng)
    body = writer.bool(2)
    # A parameter may have been picked for an alternative that was not taken.
    used = {parameter: kind for parameter, kind in writer.used.items() if _names(body, parameter)}
    if rng.random() < 0.02:
        used[f"{rng.choice(list(KINDS))}9"] = "int"  # declared, but not used: to be refused
    return Caveat(name, used, body)


def _names(body, parameter):
    return re.search(rf"\b{parameter}\b", body) is not None


def random_context(rng, names, share, mistakes=0.0):
    """Values for about a `share` of the parameters, a few of them of the wrong type."""
    context = {}
    for name in names:
        if rng.random() < share:
            _, right, wrong = KINDS[name[0]]
            context[name] = rng.choice(wrong if rng.random() < mistakes else right)
    return context

"""What side_by_side.py measured, as it stands in the documentation."""

import textwrap

# What fewer operations cost is not known well: those under way at both ends of the time are as many.
FEW = 20
WIDTH = 128


def time_text(us):
    return f"{us:.0f} µs" if us < 1000 else f"{us / 1e3:.1f} ms" if us < 1e6 else f"{us / 1e6:.1f} s"


def size_text(size):
    return f"{size / (1 << 20):.0f} MiB"


def was_measured(level):
    return level is not None and "failed" not in level


def cells(level):
    """Processor time, rate, p50, p99."""
    if level is None:
        return ["–"] * 4
    if "failed" in level:
        return ["failed"] + ["–"] * 3
    latency, failures = level["latency_us"], sum(level["errors"].values())
    rate = f"{level['operations_per_second']:.0f}"
    if failures:
        rate += f", {failures} failed"
    if level["operations"] < FEW:
        rate += f" ({level['operations']} in all)"
    return [time_text(level["server_cpu_us_per_operation"]), rate, time_text(latency["p50"]), time_text(latency["p99"])]


def ratio(level, peer):
    if not was_measured(level) or not was_measured(peer):
        return "–"
    cost, other = (each["server_cpu_us_per_operation"] for each in (level, peer))
    is_known = min(level["operations"], peer["operations"]) >= FEW
    return f"{'' if is_known else '≈ '}{cost / other:.2f}" if other else "–"


def clients(title, words):
    """The title with the number of clients, where it is not the ordinary one."""
    _, is_told, rest = words.partition("--clients ")
    return f"{title}, {rest.split()[0]} clients" if is_told and "client" not in title else title


def lines(heads, rows):
    """A table."""
    whole = [f"| {' | '.join(['', *heads])} |".replace("|  |", "| |", 1), f"|---|{'---|' * len(heads)}"]
    return "\n".join(whole + [f"| {' | '.join(row)} |" for row in rows])


def levels(name, peer_name, rows):
    """Rows of (title, words, level, level of the peer or nothing)."""
    heads = [f"{name} {head}" for head in ("CPU/op", "ops/s", "p50", "p99")]
    if peer_name:
        heads += [f"{peer_name} {head}" for head in ("CPU/op", "ops/s", "p50", "p99")] + ["CPU ratio"]
    return lines(heads, [
        [clients(title, words), *cells(level), *([*cells(peer), ratio(level, peer)] if peer_name else [])]
        for title, words, level, peer in rows
    ])


def items(level):
    """Items a second, and items for a second of one processor of the servers."""
    if not was_measured(level) or level["operations"] == 0:
        return ["–", "–"]
    each, cost = level["items_per_second"], level["operations_per_second"] * level["server_cpu_us_per_operation"] / 1e6
    return [f"{each:.0f}", f"{each / cost:.0f}" if cost else "–"]


def many(rows, name):
    """Of the rows whose operations have several items."""
    found = [row for row in rows if any(was_measured(level) and has_items(level) for level in row[2:])]
    heads = [f"{each} items/{per}" for each in ("Quorate", name) if each for per in ("s", "core-second")]
    systems = len(heads) // 2
    return heads, [
        [clients(title, words), *(cell for level in both[:systems] for cell in items(level))] for title, words, *both in found
    ]


def has_items(level):
    return level["items_per_second"] > 1.5 * level["operations_per_second"]


def disk(sizes, count):
    """What a node has on the disk, and what each relationship takes of it."""
    total = sum(sizes.values())
    parts = ", ".join(f"{name} {size_text(size)}" for name, size in sorted(sizes.items()) if size >> 20)
    return f"{size_text(total)}, {total / count:.0f} B for each" + (f" ({parts})" if parts else "")


def upkeep(results):
    """Loading, memory, disk, restarts."""
    quorate, spicedb, loaded = results["quorate"], results.get("spicedb"), results["loaded"]
    count = loaded["relationships"]

    def row(title, of):
        return [title, of(quorate), of(spicedb) if spicedb else "–"]

    def rate(one):
        return f"{one['loaded']['relationships'] / one['loaded']['seconds']:.0f}/s"

    def memory(name):
        return lambda one: ", ".join(size_text(size) for size in one[name])
    rows = [
        row(f"loading of {count} relationships, or what each has", rate),
        row("memory of each process before it, without Postgres", memory("memory_before")),
        row("memory of each process after it, without Postgres", memory("memory")),
    ]
    for when, sizes in quorate["disk"].items():
        peer = (spicedb or {}).get("disk", {}).get(when)
        other = disk(peer, spicedb["loaded"]["relationships"]) if peer else "–"
        rows.append([f"on the disk of a node, or in Postgres, {when}", disk(sizes, count), other])
    if again := quorate.get("restart"):
        rows += [
            ["from the start of a killed follower to its first answer", f"{again['follower_s']:.1f} s", "–"],
            ["from the start of three killed nodes to fully consistent answers of all", f"{again['all_s']:.1f} s", "–"],
        ]
    return lines(["Quorate", "SpiceDB"], rows)


def lookups(results):
    """First and last results of listings, by a single client."""
    time = lambda one, name: "–" if not one or "failed" in one else time_text(one[name] * 1e3)  # noqa: E731
    return lines(
        ["Quorate first", "Quorate last", "SpiceDB first", "SpiceDB last"],
        [
            [f"lookup of {hits} resources", *(time(one, name) for one in (own, peer) for name in ("first_ms", "whole_ms"))]
            for hits, own, peer in results["lookups"]
        ],
    )


def text(results):
    """The whole block."""
    setting, floors = results["setting"], results["floors"]
    seconds = " to ".join(str(each) for each in sorted({min(setting["seconds"]), max(setting["seconds"])}))
    fsync, round_trip = floors["fsync"], floors["round_trip"]
    parts = [
        f"Measured on {setting['machine']}, {setting['processors']} processors, beside {setting['peers']}, with "
        f"{setting['tuples']} relationships, {seconds} s for each row after {setting['warm_up']} ms, 64 clients unless it says "
        "otherwise, 8 connections. All servers and the generator share the machine. CPU/op is of all processes of a system "
        "together, a database included, with what they do when nobody asks.",
        f"Floors: an fsync {fsync['p50']:.2f} ms (p99 {fsync['p99']:.2f} ms); a round trip {round_trip['p50'] * 1e3:.0f} µs "
        f"(p99 {round_trip['p99'] * 1e3:.0f} µs).",
    ]
    parts = [textwrap.fill(part, WIDTH) for part in parts]
    if results["checks"]:
        parts.append("### Checks and lookups, beside SpiceDB")
        if setting["spicedb_tuples"] not in (None, setting["tuples"]):
            parts.append(f"SpiceDB has {setting['spicedb_tuples']} relationships.")
        parts.append(levels("Quorate", "SpiceDB", results["checks"]))
    heads, rows = many(results["checks"], "SpiceDB")
    if rows:
        parts.append(lines(heads, rows))
    if results["lookups"]:
        parts += ["One client; the median until the first result, and until the last:", lookups(results)]
    if results["log"]:
        parts += [
            "### Log, beside etcd",
            f"etcd has {setting['etcd_tuples']} keys. *At a follower* means that all connections go to one that does not lead.",
            levels("Quorate", "etcd", results["log"]),
        ]
    if results["own"]:
        parts += ["### Writes, and reads of them", levels("Quorate", None, results["own"])]
    heads, rows = many(results["own"], None)
    if rows:
        parts.append(lines(heads, rows))
    if "upkeep" in results:
        parts += ["### Data", upkeep(results["upkeep"])]
    return "\n\n".join(parts)

#!/usr/bin/env python3
"""What a change costs: counted and modelled figures of two run records of the same work, as a Markdown table.

    compare_costs.py BASE.json HEAD.json OUT.md

Figures that are counted or modelled are the same on every run, so that any difference is the change's. Exit
code 0: nothing costs more; 4: some modelled time grew by more than 5%; 3: the records cannot be compared.
"""
import json
import math
import sys

TOLERATED = 1.05


def fail(message):
    print(f"compare_costs.py: {message}", file=sys.stderr)
    sys.exit(3)


def read(name):
    try:
        with open(name, encoding="utf-8") as file:
            record = json.load(file)
        return record if record["schema"] == "npu-attention-run" else fail(f"{name}: no run record")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return fail(f"{name}: {error}")


def steps(record):
    """(range of ops, figure) -> (kind, value) of one layer: modelled seconds, planned and counted figures."""
    out = {}
    for step in record["time_model"]["steps"]:
        ops = span(step["ops"])
        if (ops, "ms") in out:
            raise ValueError(f"two steps {ops}")
        out[ops, "ms"] = ("modelled", number(step["seconds"]) * 1e3)
        out[ops, "context switches"] = ("modelled", number(step["context_switches"]))
    if not out:
        raise ValueError("no modelled step")
    out["all steps", "ms"] = ("modelled", sum(value for (_, figure), (_, value) in out.items()
                                              if figure == "ms"))
    for layer in record["layers"][:1]:
        for step in layer["steps"]:
            for figure in ("launches", "tiles", "bytes"):
                out[span(step["ops"]), figure] = ("counted", number(step[figure]["value"]))
    return out


def number(value):
    """A cost: a number that is finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"a cost of {value!r}")
    return value


def costs(name):
    """The shape of a record's work, and its figures."""
    record = read(name)
    try:
        identities = record["identities"]
        shape = {key: identities["recording"][key] for key in ("context", "heads")}
        return {**shape, "design": identities["design"], "device": identities["device"]}, steps(record)
    except (KeyError, TypeError, IndexError) as error:
        return fail(f"{name}: lacks {error}: written by a commit too old to compare")
    except ValueError as error:
        return fail(f"{name}: holds {error}: run the comparison again")


def span(ops):
    return ops["first"] if ops["first"] == ops["last"] else f"{ops['first']}..{ops['last']}"


def table(before, after):
    """Lines of Markdown, and whether some modelled time grew by more than is tolerated."""
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    if not changed:
        return [f"Modelled and counted costs are the same: {len(after)} figures."], False
    lines = ["| step | figure | kind | base | head | head / base |", "|---|---|---|---:|---:|---:|"]
    slower = False
    for key in changed:
        kind, old = before.get(key, ("", None))
        kind, new = after.get(key, (kind, None))
        ratio = new / old if old and new is not None else None
        # What was 0 has no ratio, and costs more.
        slower |= kind == "modelled" and None not in (old, new) and new > TOLERATED * old
        cells = ["-" if value is None else f"{value:.6g}" for value in (old, new, ratio)]
        lines.append(f"| {key[0]} | {key[1]} | {kind} | {' | '.join(cells)} |")
    return lines, slower


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    (base_shape, base), (head_shape, head) = costs(sys.argv[1]), costs(sys.argv[2])
    for key, ours in base_shape.items():
        if ours != head_shape[key]:
            fail(f"{key}: is {ours} in {sys.argv[1]} and {head_shape[key]} in "
                 f"{sys.argv[2]}")
    lines, slower = table(base, head)
    text = "\n".join(lines)
    print(text)
    try:
        with open(sys.argv[3], "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        fail(f"{sys.argv[3]}: {error}")
    return 4 if slower else 0


if __name__ == "__main__":
    sys.exit(main())

"""python.py - compares tools/wavelet_flow.py with what the programs wrote

    python.py data               streams, stores, level files, chains, random numbers: what needs NumPy only
    python.py damaged_store DIR  a store with a changed byte is refused
    python.py damaged_names DIR  and one with a changed byte in its names
    python.py model MODEL        log densities, latents and pictures of a model, from files that python.sh names
    python.py gradients MODEL    gradients of log_prob against differences
    python.py chains             stats.csv of wf-nuts against report.json
    python.py arviz README       the same by ArviZ, with the two lines of the README

Prints each difference, and exits with 1 if there was one.
"""

import io
import json
import subprocess
import sys

import numpy as np
import wavelet_flow as wf

problems = []


def check(what, good):
    if not good:
        problems.append(what)
        print(what)


def close(what, have, want, limit):
    have, want = wf._to_numpy(have), np.asarray(want)
    if have.shape != want.shape:
        check(f"{what}: shape {have.shape}, want {want.shape}", False)
    else:
        off = float(abs(have.astype(np.float64) - want).max())
        check(f"{what}: off by {off:.3g}, at most {limit:g} is allowed", off <= limit)


def raises(what, words, call):
    try:
        call()
    except wf.Error as problem:
        check(f"{what}: says {problem}", words in str(problem) and "\n" not in str(problem))
    else:
        check(f"{what}: no error", False)


def run(command):
    return subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE).stdout


def pam(pictures):
    """Samples of a PAM stream, one picture after the other."""
    samples = []
    while pictures:
        head, pictures = pictures.split(b"ENDHDR\n", 1)
        fields = dict(line.split()[:2] for line in head.splitlines()[1:] if line)
        shape = tuple(int(fields[key]) for key in (b"HEIGHT", b"WIDTH", b"DEPTH"))
        size = int(np.prod(shape))
        samples.append(np.frombuffer(pictures[:size], np.uint8).reshape(shape))
        pictures = pictures[size:]
    return np.stack(samples)


# -- data --------------------------------------------------------------------------------------------------------------


def damaged(path, at, out):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[at] ^= 1
    with open(out, "wb") as file:
        file.write(data)


def streams():
    random = np.random.default_rng(3)
    for shape in (7, 8, 16, 3), (70, 4, 4, 1), (5, 64, 2), (3, 4, 8, 4, 1):
        images = random.integers(0, 256, shape).astype(np.float32)
        wf.write_images("theirs.wf", images, first=5, batch=4)
        close(f"{shape}: read again", wf.read_images("theirs.wf"), images, 2e-5)
        info = json.loads(run("wf-info --json theirs.wf"))
        check(f"{shape}: wf-info says {info}", info["levels"] == min(s & -s for s in shape[1:-1]).bit_length() - 1)
        if len(shape) == 4 and shape[-1] == 3:
            close(f"{shape}: wf-idwt", pam(run("wf-idwt theirs.wf")), images, 0)
            run("wf-idwt -q theirs.wf | wf-dwt -q > ours.wf")
            for a, b in zip(wf.read_stream("theirs.wf"), (r for r in wf.read_stream("ours.wf") if r.low is not None)):
                check("wf-dwt gives other numbers", a.level == b.level and (a.low == b.low[: len(a.low)]).all())
    last = [r.index for r in wf.read_stream("theirs.wf")][-1]
    check(f"the last picture has index {last}", list(last) == [5, 6, 7])


def damages():
    wf.write_images("whole.wf", np.arange(3 * 64).reshape(3, 8, 8, 1))
    with open("whole.wf", "rb") as file:
        whole = file.read()
    for cut, words in ((len(whole) - 1, "cut off"), (300, "cut off"), (4, "cut off")):
        raises(f"cut at {cut}", words, lambda: list(wf.read_stream(io.BytesIO(whole[:cut]))))
    raises("more bytes", "follows", lambda: list(wf.read_stream(io.BytesIO(whole + b" "))))
    raises("a picture", "not a coefficient stream", lambda: list(wf.read_stream(io.BytesIO(b"\x89PNG\r\n\x1a\n" * 9))))
    damaged("whole.wf", 400, "damaged.wf")
    raises("a damaged stream", "damaged", lambda: list(wf.read_stream("damaged.wf")))
    raises("other sides", "cannot be halved", lambda: wf.write_images("x.wf", np.zeros((1, 6, 8, 1)), levels=2))
    raises("nan", "not finite", lambda: wf.write_images("x.wf", np.full((1, 8, 8, 1), np.nan)))
    raises(
        "too few channels",
        "shape",
        lambda: wf.StreamWriter(io.BytesIO(), wf.Meta((4, 4, 3), 2)).write(0, [0], np.zeros((1, 1, 1, 1), np.float32)),
    )
    raises("no model", "wf.json", lambda: wf.read_meta("none"))
    raises("no store", "not a store", lambda: wf.Store("none"))


def stores():
    """test.store and test.wf hold the same pictures, wide.store larger ones."""
    store, stream = wf.Store("test.store"), list(wf.read_stream("test.wf"))
    for level in store.levels:
        have = list(store.records(level, batch=4))
        for key in "index", "low", "detail":
            want = [getattr(r, key) for r in stream if r.level == level]
            if want[0] is not None:
                close(
                    f"store, level {level}, {key}",
                    np.concatenate([getattr(r, key) for r in have]),
                    np.concatenate(want),
                    0,
                )
    check("a part of a store", [list(r.index) for r in store.records(2, first=2, count=3)] == [[2, 3, 4]])
    close("pictures of a store of several tiles", wf.read_images("wide.store"), pam(run("wf-idwt wide.store.wf")), 0)
    wf.write_stream("copy.wf", store.records())
    close("a store written as a stream", pam(run("wf-idwt copy.wf")), wf.read_images("test.wf"), 0)
    raises("a level that is not there", "not 9", lambda: list(store.records(9)))


def named():
    """both.wf and both.store hold three batches of named pictures, and one of two without names. Provenance is in the
    first record alone."""
    want = [f"{i} é.ppm" for i in range(7)] + [None] * 2
    records = list(wf.read_stream("both.wf"))
    batches = {level: [r.names for r in records if r.level == level] for level in range(4)}
    check(f"batches {batches[0]}", [len(names) for names in batches[0]] == [3, 3, 1, 2])
    check(f"names of levels {batches}", all(sum(names, []) == want for names in batches.values()))
    check(
        "all records have one metadata", len({r.meta for r in records}) == 1 and "wf-dwt" in records[0].meta.provenance
    )
    check("a batch without names", batches[3][-1] == [None, None])
    store = wf.Store("both.store")
    check(f"names of a store: {store.names()}", store.names() == want)
    check("names of a part", [r.names for r in store.records(2, first=5, count=3)] == [want[5:8]])
    check("read_names", wf.read_names("both.wf") == wf.read_names("both.store") == want)
    check("no names", wf.read_names("test.wf") == wf.read_names("test.store") == [None] * 9)
    many = [f"a/{i:04d}" for i in range(700)]  # blocks hold 256 names; the second 300 were appended
    check("names of several blocks", wf.read_names("many.store") == many)
    check("in parts", sum((r.names for r in wf.Store("many.store").records(0, first=250, batch=9)), []) == many[250:])

    for source in records, store.records():
        wf.write_stream("copy.wf", source)
        check("a copy has the names", wf.read_names("copy.wf") == want)
        table = json.loads(run("wf-info --json copy.wf"))
        check(f"wf-info says {table}", [step["tool"] for step in table["provenance"]][:1] == ["wf-dwt"])
        check("provenance stands once", run("grep -a -o '\"provenance\"' copy.wf | wc -l") == b"1\n")
        check(
            "names stand once a batch",
            run("grep -a -o '\"names\"' copy.wf | wc -l")
            == run("grep -a -o '\"names\"' both.wf | wc -l" if source is records else "echo 1"),
        )
    images = wf.read_images("both.wf")
    wf.write_images(
        "named.wf", images[:4], batch=2, names=["a", b"b\xff.png".decode(errors="surrogateescape"), None, ""]
    )
    check("names that Python wrote", wf.read_names("named.wf") == ["a", "b?.png", None, None])
    check("the programs read them", run("wf-view -q named.wf -o again.store") == b"")
    check("all of them", wf.read_names("again.store") == ["a", "b?.png", None, None])
    raises("two names for four", "names of", lambda: wf.write_images("x.wf", images[:4], names=["a", "b"]))
    raises("a zero byte", "zero byte", lambda: wf.write_images("x.wf", images[:1], names=["a\0b"]))
    for text in '["a"]', "{}", "[1,2]", "3", "[":
        meta = wf.Meta((8, 8, 3), 3)
        record = wf._format_record(
            {"index": np.arange(2, dtype="<u8")}, {**meta.to_text(), "level": "0", "names": text}
        )
        raises(f"names {text}", "names are not", lambda: list(wf.read_stream(io.BytesIO(record))))
    other = io.BytesIO()
    for level, bits in (0, 8), (0, 7):
        text = {**wf.Meta((8, 8, 3), 3, bits).to_text(), "level": str(level)}
        other.write(wf._format_record({"index": np.arange(2, dtype="<u8")}, text))
    raises(
        "bits that change", "record 2: its metadata differ", lambda: list(wf.read_stream(io.BytesIO(other.getvalue())))
    )


def damaged_names(folder):
    """A store in which one byte of a block of names was changed."""
    raises("damaged names", "checksum", lambda: wf.read_names(folder))


def damaged_store(folder):
    """A store in which one byte of a value was changed."""
    raises("a damaged store", "checksum", lambda: list(wf.Store(folder).records()))


def levels(path):
    text, tensors = wf.read_level(path)
    names = [f"{i:03d}.{name}" for i, (name, _) in enumerate(wf.parse_chain(text["chain"]))]
    check(f"tensors of {path}", {key[4:].rsplit(".", 1)[0] for key in tensors if key[:4] == "ema/"} >= {names[0]})
    check("all are float32", all(values.dtype == np.float32 for values in tensors.values()))
    raises("a stream as a level", "chain", lambda: wf.read_level("test.wf"))
    values = np.array([[0.5, -1.25], [3e38, 1e-40]], np.float32)
    for kind, stored in ("F16", values.astype(np.float16)), ("BF16", (values.view("<u4") >> 16).astype("<u2")):
        header = {
            "__metadata__": {"chain": "actnorm"},
            "ema/x": {"dtype": kind, "shape": [2, 2], "data_offsets": [0, 8]},
        }
        encoded = json.dumps(header).encode()
        with open("half", "wb") as file:
            file.write(len(encoded).to_bytes(8, "little") + encoded + stored.tobytes())
        close(kind, wf.read_level("half")[1]["ema/x"][0], values[0], 0)
    chain = wf.parse_chain("2*(actnorm, 2*(conv1x1:lu)), affine:width=8")
    check(f"chain {chain}", [word for word, _ in chain] == ["actnorm", *["conv1x1"] * 2] * 2 + ["affine"])
    check("options", chain[1][1] == {"lu": "1"} and chain[-1][1] == {"width": "8"})
    for bad in "", "2*(actnorm", "actnorm,", "actnorm affine", "actnorm)", "a$b":
        raises(f"chain {bad!r}", "chain", lambda: wf.parse_chain(bad))


def data():
    check("torch is imported without need", "torch" not in sys.modules)
    streams()
    damages()
    stores()
    named()
    levels("official/level-01.safetensors")
    z = wf.normals(7, 6, 2, 2**40 + 5, 100001)
    check(f"normals of mean {z.mean()} and variance {z.var()}", abs(z.mean()) < 0.015 and abs(z.var() - 1) < 0.02)
    check("torch was imported", "torch" not in sys.modules)


# -- models ------------------------------------------------------------------------------------------------------------


def latents_of(records, levels):
    return [
        np.concatenate([r.detail if level else r.low for r in records if r.level == level])
        for level in range(levels + 1)
    ]


def table(path):
    """Levels' columns of wf-bpd --per-image."""
    with open(path) as file:
        head, *rows = [line.rstrip("\n").split("\t") for line in file]
    return np.array([[float(row[i]) for i, name in enumerate(head) if name.startswith("level")] for row in rows])


def model(folder, limit="2e-4"):
    """MODEL.wf, .bits, .latents, .decoded, .sampled: pictures, and what the programs made of them. Pictures may differ
    by the limit, in pixel units."""
    import torch

    module = wf.load(folder)
    check("a torch.nn.Module", isinstance(module, torch.nn.Module) and isinstance(module, wf.Model))
    images, index = (
        wf.read_images(folder + ".wf"),
        np.concatenate([r.index for r in wf.read_stream(folder + ".wf") if r.level == 0]),
    )
    with torch.no_grad():
        want = table(folder + ".bits")
        bits = module.bits_per_dim(images, seed=3, index=index)
        close(f"{folder}: bits/dim of each level", bits, want, 1e-4)
        nats = module.log_prob(images, seed=3, index=index) / (-np.log(2) * np.prod(images.shape[1:]))
        close(f"{folder}: log_prob", nats, want.sum(1), 1e-4)
        want = latents_of(list(wf.read_stream(folder + ".latents")), module.meta.levels)
        for level, z in enumerate(module.encode(images)):
            close(f"{folder}: latents of level {level}", z, want[level], 1e-4)
        close(f"{folder}: decoded pictures", module.decode(want), wf.read_images(folder + ".decoded"), float(limit))
        sampled = wf.read_images(folder + ".sampled")
        close(f"{folder}: samples", module.sample(len(sampled), seed=7, temperature=0.8), sampled, float(limit))
        shard = module.sample(len(sampled[1::2]), seed=7, temperature=0.8, first=1, step=2)
        close(f"{folder}: shard 2 of 2 of the samples", shard, sampled[1::2], float(limit))
    raises("pictures of another size", "expected", lambda: module.log_prob(np.zeros((1, 2, 2, 3))))


def gradients(folder):
    import torch

    module = wf.load(folder).double()
    images = torch.tensor(wf.read_images(folder + ".wf")[:2], dtype=torch.float64, requires_grad=True)
    module(images).sum().backward()
    check("every parameter has a gradient", all(p.grad is not None for p in module.parameters()))
    step = torch.zeros_like(images)
    for at in (0, 0, 0, 0), (1, 3, 5, 2):
        step.zero_()[at] = 1e-4
        with torch.no_grad():
            slope = (module(images + step) - module(images - step)).sum() / 2e-4
        close(f"gradient by sample {at}", images.grad[at] / slope, 1.0, 1e-5)
    z = [torch.tensor(latent, requires_grad=True) for latent in map(wf._to_numpy, module.encode(images))]
    module.decode(z).square().sum().backward()
    check("latents have gradients", all(latent.grad.abs().sum() > 0 for latent in z))


# -- chains ------------------------------------------------------------------------------------------------------------


def chains():
    """stats.csv and report.json of wf-nuts: four chains of level 0, and of the levels above."""
    with open("report.json") as file:
        reports = [json.loads(line) for line in file]
    for report in reports:
        stats = wf.read_stats("stats.csv", report["last"])["sample_stats"]
        close(
            "chains and draws", np.array(stats["lp"].shape), [report["chains"], report["draws"] / report["chains"]], 0
        )
        close("acceptance", stats["acceptance_rate"].mean(), report["acceptance"], 1e-6)
        check("depth", stats["tree_depth"].mean() <= report["depth"])
        check("divergences", stats["diverging"].sum() == report["divergences"])
        close(
            "step sizes",
            np.array([stats["step_size"].min(), stats["step_size"].max()]),
            [report["step_low"], report["step_high"]],
            1e-6,
        )
        check("the energy is the log density and a kinetic energy", (stats["energy"] + stats["lp"] > 0).all())
        steps, depth = stats["n_steps"], stats["tree_depth"]
        check(
            "2^depth - 1 steps at least, fewer than 2^(depth + 1)",
            (steps >= 2**depth - 1).all() and (steps < 2 ** (depth + 1)).all(),
        )
        energy = stats["energy"]
        bfmi = (np.diff(energy) ** 2).sum(1) / ((energy - energy.mean(1, keepdims=True)) ** 2).sum(1)
        close("E-BFMI", bfmi.min(), report["ebfmi"], 1e-9)
    raises("a level without chains", "no whole chains", lambda: wf.read_stats("stats.csv", 9))
    raises("no statistics", "no whole chains", lambda: wf.read_stats("report.json", 0))


def arviz(readme):
    """R-hat and effective sizes of level 0 by ArviZ are those of the report."""
    import arviz
    import pandas

    with open("report.json") as file:
        report = json.loads(file.readline())
    read = wf.read_stats("stats.csv", 0)
    inference = arviz.from_dict(read) if arviz.__version__[0] != "0" else arviz.from_dict(**read)
    check("groups", all(hasattr(inference, group) for group in ("posterior", "sample_stats")))
    with open(readme) as file:
        lines = [line.strip() for line in file if "read_csv" in line or "arviz.summary" in line]
    check(f"two lines of the README: {lines}", len(lines) == 2)
    scope = {"arviz": arviz, "pandas": pandas}
    exec(lines[0].replace("draws.csv", "stats.csv"), scope)
    summary = eval(lines[1], scope)
    check("summary", {"lp__", "energy__", "x.1", "x.8"} <= set(summary.index))
    values = {f"x{i}": read["posterior"]["x"][..., i] for i in range(8)}
    values["lp"] = read["sample_stats"]["lp"]
    dataset = arviz.convert_to_dataset(values)
    largest = max(float(v) for v in arviz.rhat(dataset).data_vars.values())
    close("R-hat", largest, report["rhat"], 1e-9)
    for method, key, more in ("bulk", "ess_bulk", {}), ("tail", "ess_tail", {"prob": (0.05, 0.95)}):
        least = min(float(v) for v in arviz.ess(dataset, method=method, **more).data_vars.values())
        close(f"ESS, {method}", least, report[key], 1e-6 * report[key])


globals()[sys.argv[1]](*sys.argv[2:])
sys.exit(bool(problems))

"""Files that were damaged or made by somebody hostile: refused before anything runs."""

from __future__ import annotations

import copy
import io
import itertools
import json
import os
import pickle
import re
import sys
import warnings
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile, ZipInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries import LIGHTGBM, XGBOOST
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from focal_gbm.export import SKOPS_TRUSTED, ModelFileError, load, save
from focal_gbm.export._archive import packed
from focal_gbm.export._file import _sealed, _unsealed

pytest.importorskip("skops.io", reason="needs the extra [export]")

RNG = np.random.default_rng(7)
X = RNG.normal(size=(300, 3))
Y = X[:, 0] + RNG.normal(size=300) > 1.5
MODELS = {
    library.name: library.model(n_estimators=3).fit(X, Y)
    for library in (LIGHTGBM, XGBOOST)
}
ARCHIVES = {name: packed(model) for name, model in MODELS.items()}
IDS = itertools.count(1)
CONTENT = _sealed(ARCHIVES["xgboost"])
LENGTH = len(CONTENT)


def members_of(archive):
    with ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(members, compression=ZIP_DEFLATED):
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # two members of one name
        for name, content in members:
            file.writestr(ZipInfo(name), content, compression)
    return buffer.getvalue()


def schema_of(library="xgboost"):
    return json.loads(members_of(ARCHIVES[library])["schema.json"])


def with_schema(schema, library="xgboost"):
    text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    members = {**members_of(ARCHIVES[library]), "schema.json": text}
    return zipped(members.items())


def with_parameter(node, **files):
    """An archive whose model has a node as its parameter n_jobs."""
    schema = schema_of()
    schema["content"]["content"]["n_jobs"] = node
    members = {**members_of(ARCHIVES["xgboost"]), **files}
    return zipped({**members, "schema.json": json.dumps(schema).encode()}.items())


def node(loader, module, name, **others):
    return {
        "__loader__": loader,
        "__module__": module,
        "__class__": name,
        "__id__": next(IDS),
        **others,
    }


def text(value):
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def items(*nodes):
    return node("TupleNode", "builtins", "tuple", content=list(nodes))


def mapping(**values):
    keys = [node("TypeNode", "builtins", "str") for _ in values]
    types = node("ListNode", "builtins", "list", content=keys)
    return node("DictNode", "builtins", "dict", content=values, key_types=types)


def refused(archive, folder, match, **options):
    path = folder / "model"
    path.write_bytes(_sealed(archive))
    with pytest.raises(ModelFileError, match=match):
        load(path, **options)


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that leaves a file when it is imported, and when its function runs."""
    left = tmp_path / "left by the trap"
    code = f"open({str(left)!r}, 'a').write('imported')\ndef spring(*_): pass\n"
    (tmp_path / "focal_trap.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(os, "system", lambda command: left.write_text(command))
    yield left
    assert "focal_trap" not in sys.modules
    assert not left.exists()


# nodes by which the loaders of some release of skops call or import what a file names
HOSTILE = {
    "function": node("FunctionNode", "os", "system"),
    "class": node("TypeNode", "os", "system"),
    "built-in function": node("FunctionNode", "builtins", "eval"),
    "built-in as a class": node("TypeNode", "builtins", "eval"),
    "imported function": node("FunctionNode", "focal_trap", "spring"),
    "object": node("ObjectNode", "focal_trap", "Spring", content=mapping()),
    "constructor": node(
        "ConstructorFromReduceNode", "os", "system", content=items(text("true"))
    ),
    "constructor of ours": node(
        "ConstructorFromReduceNode", "xgboost.core", "Booster", content=items()
    ),
    "class of ours as a list": node(
        "ListNode", "focal_gbm.calibration", "PriorShift", content=[text(1.0)]
    ),
    "partial function": node(
        "PartialNode",
        "functools",
        "partial",
        content={
            "func": node("FunctionNode", "os", "system"),
            "args": items(text("true")),
            "kwds": mapping(),
            "namespace": mapping(),
        },
    ),
    "method": node(
        "MethodNode",
        "focal_gbm.calibration",
        "PriorShift",
        content={
            "obj": node(
                "ObjectNode", "focal_gbm.calibration", "PriorShift", content=mapping()
            ),
            "func": "fit",
        },
    ),
    "methodcaller": node(
        "OperatorFuncNode", "operator", "methodcaller", attrs=items(text("fit"))
    ),
    "operator": node(
        "OperatorFuncNode", "operator", "attrgetter", attrs=items(text("fit"))
    ),
    "loss by reduce": node(
        "LossNode",
        "focal_trap",
        "spring",
        content=mapping(),
        __reduce__={"args": items()},
    ),
    "random generator": node(
        "RandomGeneratorNode",
        "numpy.random._generator",
        "Generator",
        content={
            "bit_generator": mapping(bit_generator=text("test")),
            "seed_seq": mapping(entropy=text(1)),
        },
    ),
    "tree": node(
        "TreeNode",
        "sklearn.tree._tree",
        "Tree",
        content=mapping(),
        __reduce__={"args": items()},
    ),
    "old dictionary": node(
        "_DictWithDeprecatedKeysNode",
        "focal_trap",
        "Spring",
        content={"main": mapping(), "_deprecated_key_to_new_key": mapping()},
    ),
    "unknown loader": node("PickleNode", "builtins", "object", content="gASVAA=="),
    "reference": node("CachedNode", "builtins", "object"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_nodes_are_named_and_not_run(kind, trap, tmp_path):
    hostile = HOSTILE[kind]
    name = re.escape(f"{hostile['__module__']}.{hostile['__class__']}")
    where = rf"{name} at (the model|n_jobs)"
    refused(with_parameter(hostile), tmp_path, where)
    as_key = mapping(a=text(1))
    as_key["key_types"]["content"] = [hostile]
    refused(with_parameter(as_key), tmp_path, name)
    refused(with_parameter(items(items(hostile))), tmp_path, rf"{name} at n_jobs\[0\]")
    protocol = {**hostile, "protocol": 2, "_skops_version": "0.13.0"}
    refused(with_schema(protocol), tmp_path, f"{name} at the model")
    # trust in our own list opens nothing
    refused(with_parameter(hostile), tmp_path, where, trusted=SKOPS_TRUSTED)


def test_trust_in_one_type_is_not_trust_in_another(trap, tmp_path):
    path = tmp_path / "model"
    functions = make_pipeline(FunctionTransformer(np.log1p), XGBOOST.model())
    save(functions.fit(np.abs(X), Y), path)  # a function that skops trusts
    archive = with_parameter(items(HOSTILE["function"], HOSTILE["object"]))
    refused(archive, tmp_path, r"os\.system", trusted=["focal_trap.Spring"])


def test_pickles_in_arrays_are_not_read(trap, tmp_path):
    class Spring:
        def __reduce__(self):
            return open, (str(trap), "w")

    array = io.BytesIO()
    np.save(array, np.array([Spring()], dtype=object), allow_pickle=True)
    as_array = node("NdArrayNode", "numpy", "ndarray", type="numpy", file="9.npy")
    archive = with_parameter(as_array, **{"9.npy": array.getvalue()})
    refused(archive, tmp_path, "cannot be built: .*allow_pickle")
    archive = with_parameter(as_array, **{"9.npy": pickle.dumps(Spring())})
    refused(archive, tmp_path, "cannot be built")


BOOSTERS = {
    "lightgbm": ("_handle", [text(3), text([1]), text(None), items(), None]),
    "xgboost": ("handle", [text("model"), text(3), text(None), items(), None]),
}


@pytest.mark.parametrize("library", BOOSTERS)
def test_a_booster_needs_its_model(library, tmp_path):
    """A number in its place would be a pointer, and no model a null pointer."""
    attribute, others = BOOSTERS[library]
    for other in others:
        schema = schema_of(library)
        attributes = schema["content"]["content"]["_Booster"]["content"]["content"]
        assert attributes.pop(attribute)
        if other is not None:
            attributes[attribute] = other
        refused(
            with_schema(schema, library), tmp_path, f"_Booster has no .*{attribute}"
        )
    for content in (None, text("no state"), items(text(1))):
        schema = schema_of(library)
        schema["content"]["content"]["_Booster"]["content"] = content
        refused(
            with_schema(schema, library), tmp_path, f"_Booster has no .*{attribute}"
        )


def test_a_model_that_its_library_cannot_read(tmp_path):
    members = members_of(ARCHIVES["xgboost"])
    (handle,) = (name for name in members if name.endswith(".bin"))
    for bytes_ in (b"", b"no model", members[handle][:200]):
        archive = zipped({**members, handle: bytes_}.items())
        refused(archive, tmp_path, "it cannot be built: ")
    schema = schema_of("lightgbm")
    attributes = schema["content"]["content"]["_Booster"]["content"]["content"]
    attributes["_handle"]["content"] = json.dumps("no model")
    refused(with_schema(schema, "lightgbm"), tmp_path, "it cannot be built: LightGBM")


@given(position=st.integers(0, LENGTH - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_seen(position, bit, tmp_path_factory):
    content = bytearray(CONTENT)
    content[position] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"cannot be loaded: .*(its|did not)"):
        load(path)


def test_every_flipped_bit_of_the_first_lines_is_seen():
    """The format and the checksum itself."""
    for position in range(8 * (CONTENT.index(b"\n", 40) + 1)):
        content = bytearray(CONTENT)
        content[position // 8] ^= 1 << position % 8
        with pytest.raises(ModelFileError):
            _unsealed(bytes(content))


@given(length=st.integers(0, LENGTH - 1))
def test_a_truncated_file_is_seen(length, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "truncated"
    path.write_bytes(CONTENT[:length])
    with pytest.raises(ModelFileError, match=r"truncated|did not write it|damaged"):
        load(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "model"
    for content, match in (
        (b"", "did not write it: it begins with b''"),
        (pickle.dumps(1), "did not write it"),
        (ARCHIVES["xgboost"], r"did not write it: it begins with b'PK"),
        (CONTENT + b"\n", "extended"),
        (b"\n" + CONTENT, "did not write it"),
        (CONTENT.replace(b"format 1", b"format 0", 1), "did not write it"),
        (
            CONTENT.replace(b"format 1", b"format 2", 1),
            r"format is 2.*update focal_gbm",
        ),
        (CONTENT.replace(b"format 1", b"format 99999", 1), "format is 99999"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=match):
            load(path)
    assert issubclass(ModelFileError, ValueError)


def test_archives_that_would_fill_the_memory(tmp_path):
    members = members_of(ARCHIVES["xgboost"])
    zeros = zipped({**members, "9.npy": bytes(10**8)}.items())
    assert len(zeros) < 2**17
    refused(zeros, tmp_path, r"would unpack to 1000\d+, more than any")
    sparse = node("SparseMatrixNode", "scipy.sparse", "csr_matrix", file="9.npz")
    archive = with_parameter({**sparse, "type": "scipy"}, **{"9.npz": zeros})
    refused(archive, tmp_path, "would unpack to 1000")
    array = node("NdArrayNode", "numpy", "ndarray", type="numpy", file="9.npy")
    copies = items(*({**array, "__id__": i} for i in range(2, 5)))
    archive = with_parameter(copies, **{"9.npy": b"array"})
    refused(archive, tmp_path, r"n_jobs\[\d\] has no member of the archive of its own")


NAMES = (
    "../9.npy",
    "/tmp/9.npy",
    "a/9.npy",
    "C:\\9.npy",
    "9.py",
    "schema.json",
    "9.npy\n",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_members(name, tmp_path):
    members = [*members_of(ARCHIVES["xgboost"]).items(), (name, b"{}")]
    refused(zipped(members), tmp_path, "which save never writes")


def test_archives_that_cannot_be_read(tmp_path):
    members = members_of(ARCHIVES["xgboost"])
    schema = schema_of()
    for archive, match in (
        (b"", "cannot be read: BadZipFile"),
        (ARCHIVES["xgboost"][:-30], "cannot be read: BadZipFile"),
        (zipped(members.items(), ZIP_LZMA), "a method that save never uses"),
        (zipped([("9.npy", b"")]), "cannot be read: KeyError"),
        (with_schema(b"no JSON"), "cannot be read: JSONDecodeError"),
        (with_schema(b"[" * 10**6), "cannot be read: RecursionError"),
        (with_schema([]), "cannot be read: "),
        (with_schema({"protocol": 2}), "cannot be read|types"),
        (with_parameter({"__loader__": "JsonNode"}), "n_jobs has no type"),
        (with_parameter({**text(1), "__class__": ["str"]}), "n_jobs has no type"),
        (with_parameter({**text(1), "file": "8.npy"}), "no member of the archive"),
        (with_parameter(node("ListNode", "builtins", "list")), "skops cannot read"),
    ):
        refused(archive, tmp_path, match)
    for protocol in (0, 1, 99, -1, True, 2.0, "2", None):
        changed = {**schema, "protocol": protocol}
        refused(with_schema(changed), tmp_path, "by protocol .* update skops")


def test_deep_trees_end_in_an_error(tmp_path):
    deep = text(1)
    for _ in range(3000):
        deep = items(deep)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # for json.dumps alone
    try:
        archive = with_parameter(deep)
    finally:
        sys.setrecursionlimit(limit)
    refused(archive, tmp_path, "RecursionError")


def test_an_honest_archive_passes_these_ways_of_making_one(tmp_path):
    """The refusals above are not of the archives that these tests make."""
    for library, model in MODELS.items():
        path = tmp_path / library
        schema = copy.deepcopy(schema_of(library))
        path.write_bytes(_sealed(with_schema(schema, library)))
        np.testing.assert_array_equal(
            load(path).predict_proba(X), model.predict_proba(X)
        )
    (tmp_path / "model").write_bytes(_sealed(with_parameter(items(text(1), mapping()))))
    assert load(tmp_path / "model").n_jobs == (1, {})


def resealed(versions, archive, monkeypatch):
    """The content of a file that other versions wrote."""
    with monkeypatch.context() as patch:
        patch.setattr(
            "focal_gbm.export._file._version", lambda module: versions[module]
        )
        return _sealed(archive)


def test_versions_of_the_writer(tmp_path, monkeypatch):
    from focal_gbm.export._file import _PACKAGES, _version

    here = {module: _version(module) for module in _PACKAGES}
    path = tmp_path / "model"
    archive = packed(
        make_pipeline(StandardScaler(), XGBOOST.model(n_estimators=3)).fit(X, Y)
    )
    versions, _ = _unsealed(CONTENT)
    assert versions.pop("Python").startswith(f"{sys.version_info.major}.")
    assert versions == {_PACKAGES[module]: here[module] for module in here}

    newer = {**here, "numpy": "98.7.6", "sklearn": "55.4", "lightgbm": "77.0"}
    path.write_bytes(resealed(newer, archive, monkeypatch))
    saved = r"saved with numpy 98\.7\.6 \(here .*, scikit-learn 55\.4 \(here [\d.]+\):"
    with pytest.warns(UserWarning, match=saved) as caught:
        model = load(path)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0, rtol=1e-6)
    assert caught[0].filename == __file__
    # LightGBM has no part in this model, and older versions are no reason to warn
    older = {**here, "xgboost": "1.0", "lightgbm": "77.0", "numpy": "dev"}
    path.write_bytes(resealed(older, archive, monkeypatch))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(path)

    # both releases are of one major version, and the older one misreads the base rate
    path.write_bytes(resealed({**here, "xgboost": "3.1.0"}, archive, monkeypatch))
    with monkeypatch.context() as patch:
        older = {**here, "xgboost": "3.0.5"}
        patch.setattr("focal_gbm.export._file._version", lambda module: older[module])
        with pytest.raises(
            ModelFileError, match=r"xgboost 3\.1\.0 \(here 3\.0\.5\), and"
        ):
            load(path)

    schema = json.loads(members_of(archive)["schema.json"])
    content = json.dumps(schema).replace("StandardScaler", "ScalerOfTomorrow")
    members = {**members_of(archive), "schema.json": content.encode()}
    path.write_bytes(resealed(newer, zipped(members.items()), monkeypatch))
    with pytest.raises(ModelFileError, match=r"ScalerOfTomorrow"):
        load(path)
    with pytest.raises(
        ModelFileError, match=r"built: .*saved with .*scikit-learn 55\.4"
    ):
        load(path, trusted=["sklearn.preprocessing._data.ScalerOfTomorrow"])


def test_versions_that_are_none(tmp_path):
    import hashlib

    for line in (b"[1]", b"no JSON", b"3"):
        first, rest = (
            CONTENT.split(b"\n")[0] + b"\n",
            line + b"\n" + ARCHIVES["xgboost"],
        )
        digest = hashlib.sha256(first + rest).hexdigest().encode()
        second = b"sha256 %s of %d bytes\n" % (digest, len(rest))
        (tmp_path / "model").write_bytes(first + second + rest)
        with pytest.raises(ModelFileError, match="third line has no versions"):
            load(tmp_path / "model")

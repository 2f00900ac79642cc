"""The archive of a model: written and built by skops, and checked before it is built.

skops describes the model by a tree of nodes in ``schema.json``; a node names a type and
the loader that restores it. The checks here come before those of skops and are
stricter, because several loaders call what a node names, and some releases of skops
that we support look a name up before they check it. They refuse

1. archives that unpack to far more than their size, and names of no member of skops;
2. loaders that call functions, and our types and the boosters by any other loader than
   the one that skops writes for them;
3. boosters without a model, and members that several objects share.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Collection, Iterator
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from focal_gbm._estimators.trusted import LOADER_OF
from focal_gbm._estimators.trusted import SKOPS_TRUSTED as SKOPS_TRUSTED

Node = dict[str, Any]
_SCHEMA = "schema.json"
_MEMBER = re.compile(r"schema\.json|[0-9A-Za-z-]+\.(npy|npz|bin)")
# Real models unpack to 10 to 30 times their size; a bomb of zeros to 1000 times.
_UNPACKED_FREE, _UNPACKED_RATIO = 64 * 2**20, 200
# of skops 0.13; loaders of older protocols check less
_OLDEST_PROTOCOL = 2
# Loaders that make containers, numbers, arrays and classes that skops trusts. Others
# call what the file names (methods, partial functions, operators, constructors), or in
# skops 0.13 a function of numpy.random (generators).
_LOADERS = frozenset(
    (
        "BytearrayNode",
        "BytesNode",
        "DTypeNode",
        "DefaultDictNode",
        "DictNode",
        "FunctionNode",
        "JsonNode",
        "ListNode",
        "LossNode",
        "MaskedArrayNode",
        "NdArrayNode",
        "ObjectNode",
        "RandomStateNode",
        "SetNode",
        "SliceNode",
        "SparseMatrixNode",
        "TupleNode",
        "TypeNode",
    )
)
_PACKAGES = frozenset(("builtins", "collections", "numpy", "scipy", "sklearn"))
# where a booster has its model, and the loader of it
_MODEL_OF = {
    "lightgbm.basic.Booster": ("_handle", "JsonNode"),
    "xgboost.core.Booster": ("handle", "BytearrayNode"),
}


class ModelFileError(ValueError):
    """Error for a file of a model that is damaged, foreign, too new or unsafe.

    See Also
    --------
    focal_gbm.export.load : Read a file.
    focal_gbm.export.save : Write a file.
    """


def imported_skops() -> Any:
    """Return the module skops.io, which is optional."""
    try:
        import skops.io
    except ImportError as error:
        msg = "focal_gbm.export needs skops: pip install 'focal_gbm[export]'"
        raise ImportError(msg) from error
    return skops.io


def packed(model: Any) -> bytes:
    """Return the archive of a model."""
    with ZipFile(io.BytesIO(imported_skops().dumps(model))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members[_SCHEMA])
    for node, _ in _nodes(schema):
        if node["__loader__"] == "DictNode":
            _keep_booleans(node)
    members[_SCHEMA] = json.dumps(schema, separators=(",", ":")).encode()
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(ZipInfo(name), content, ZIP_DEFLATED)
    return buffer.getvalue()


def _keep_booleans(node: Node) -> None:
    """Write the key False of a dictionary as an empty text.

    skops, up to 0.16 at least, restores a key by its type from the text of JSON, and
    bool("false") is True: one of two entries would be lost, without an error.
    """
    types = [key["__class__"] for key in node["key_types"]["content"]]
    if len(types) != len(node["content"]):
        msg = "a dictionary has keys whose texts are equal, such as 1 and '1'"
        raise TypeError(msg)
    node["content"] = {
        "" if kind.startswith("bool") and key == "false" else key: value
        for kind, (key, value) in zip(types, node["content"].items(), strict=True)
    }


def schema_of(content: bytes) -> Node:
    """Return the tree of nodes of an archive, once its members proved to be sound."""
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive, len(content))
            schema: Node = json.loads(archive.read(_SCHEMA))
            _check_protocol(schema)
            for name in _check_references(schema, archive.namelist()):
                with ZipFile(io.BytesIO(archive.read(name))) as arrays:
                    _check_size(arrays, archive.getinfo(name).file_size)
    except ModelFileError:
        raise
    except Exception as error:  # zipfile and json raise many kinds
        msg = f"its archive cannot be read: {type(error).__name__}: {error}"
        raise ModelFileError(msg) from error
    return schema


def _check_members(archive: ZipFile, n_bytes: int) -> None:
    _check_size(archive, n_bytes)
    names = archive.namelist()
    for info in archive.infolist():
        if not _MEMBER.fullmatch(info.filename) or names.count(info.filename) > 1:
            msg = (
                f"its archive has the member {info.filename!r}, which save never writes"
            )
            raise ModelFileError(msg)
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            msg = f"{info.filename} is compressed by a method that save never uses"
            raise ModelFileError(msg)


def _check_size(archive: ZipFile, n_bytes: int) -> None:
    """Refuse an archive that would fill the memory; zipfile reads no more of a member
    than the size declared."""
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > _UNPACKED_FREE + _UNPACKED_RATIO * n_bytes:
        msg = (
            f"an archive of {n_bytes} bytes would unpack to {unpacked}, more than any "
            "model does"
        )
        raise ModelFileError(msg)


def _check_protocol(schema: Node) -> None:
    """Refuse a protocol of skops that the installed release does not read."""
    with ZipFile(io.BytesIO(imported_skops().dumps(None))) as archive:
        newest = json.loads(archive.read(_SCHEMA))["protocol"]
    protocol = schema["protocol"]
    if type(protocol) is not int or not _OLDEST_PROTOCOL <= protocol <= newest:
        msg = (
            f"skops wrote it by protocol {protocol!r}, and the installed skops reads "
            f"{_OLDEST_PROTOCOL} to {newest}: update skops"
        )
        raise ModelFileError(msg)


def _check_references(schema: Node, members: list[str]) -> set[str]:
    """Refuse nodes that are none, and members that several objects share: each would
    have a copy. Return the names of members that are archives themselves."""
    owners: dict[str, Any] = {}
    archives = set()
    for node, where in _nodes(schema):
        if not all(
            isinstance(node.get(key), str)
            for key in ("__loader__", "__class__", "__module__")
        ):
            msg = f"{where} has no type"
            raise ModelFileError(msg)
        file = node.get("file")
        if file is None:
            continue
        if (
            file not in members
            or owners.setdefault(file, node["__id__"]) != node["__id__"]
        ):
            msg = f"{where} has no member of the archive of its own: {file!r}"
            raise ModelFileError(msg)
        if node["__loader__"] == "SparseMatrixNode":
            archives.add(file)
    return archives


def check_types(content: bytes, schema: Node, trusted: Collection[str]) -> None:
    """Refuse types that are neither of this library, nor known to be safe, nor
    trusted by the user."""
    places: dict[str, str] = {}
    unsafe: dict[str, str] = {}
    for node, where in _nodes(schema):
        name = f"{node['__module__']}.{node['__class__']}"
        places.setdefault(name, where)
        is_users = name in trusted and name not in LOADER_OF
        if not is_users and not _is_expected(node, name):
            unsafe.setdefault(name, where)
        _check_booster(node, name, where)
    if not unsafe:
        try:
            names = set(imported_skops().get_untrusted_types(data=content))
        except Exception as error:  # many kinds, by nodes that lack what skops reads
            msg = f"skops cannot read its types: {type(error).__name__}: {error}"
            raise ModelFileError(msg) from error
        names -= {*SKOPS_TRUSTED, *trusted}
        unsafe = {name: places.get(name, "the model") for name in sorted(names)}
    if unsafe:
        found = ", ".join(f"{name} at {where}" for name, where in unsafe.items())
        msg = (
            f"it holds {found}: not known to be safe, since loading might run code. If "
            f"you know this code and trust it, pass trusted={list(unsafe)} to save and "
            "to load"
        )
        raise ModelFileError(msg)


def _is_expected(node: Node, name: str) -> bool:
    """Whether the loader of a node is the one that skops writes for its type."""
    loader: str = node["__loader__"]
    if name in LOADER_OF:
        # the dictionary, and the class as the factory of another dictionary
        is_dictionary = name == "collections.OrderedDict" and loader == "DictNode"
        return is_dictionary or loader == LOADER_OF[name]
    return loader in _LOADERS and _package_of(node) in _PACKAGES


def _check_booster(node: Node, name: str, where: str) -> None:
    """Refuse a booster whose model is missing or something else."""
    if name not in _MODEL_OF or node["__loader__"] != "ObjectNode":
        return
    attribute, loader = _MODEL_OF[name]
    try:
        model = node["content"]["content"][attribute]
        is_model = bool(model["__loader__"] == loader) and (
            loader != "JsonNode" or isinstance(json.loads(model["content"]), str)
        )
    except (KeyError, TypeError, ValueError):
        is_model = False
    if not is_model:
        msg = f"the booster at {where} has no model in its attribute {attribute!r}"
        raise ModelFileError(msg)


def packages_of(schema: Node) -> set[str]:
    """Return the names of the packages whose types an archive has."""
    return {_package_of(node) for node, _ in _nodes(schema)}


def _package_of(node: Node) -> str:
    module: str = node["__module__"]
    return module.partition(".")[0]


def built(content: bytes, trusted: Collection[str]) -> Any:
    """Return the model of an archive whose types were checked."""
    return imported_skops().loads(content, trusted=[*SKOPS_TRUSTED, *trusted])


def _nodes(schema: Any) -> Iterator[tuple[Node, str]]:
    """Yield the nodes of a tree, each with its place, such as steps[1][1]._Booster.

    Every object of the JSON is visited, those included that skops would not look at.
    """
    stack = [(schema, "")]
    while stack:
        value, where = stack.pop()
        if isinstance(value, list):
            stack += [(item, f"{where}[{i}]") for i, item in enumerate(value)]
        elif isinstance(value, dict) and "__loader__" in value:
            yield value, where.lstrip(".") or "the model"
            stack += [(item, where) for item in value.values()]
        elif isinstance(value, dict):
            stack += [(item, f"{where}.{key}") for key, item in value.items()]

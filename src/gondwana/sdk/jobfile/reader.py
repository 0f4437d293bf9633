"""The text of a job file as plain values: one YAML document, a mapping, of bounded size, no key twice."""

from typing import Any, Final

import yaml

from gondwana.core.errors import InvalidJobFile, TooLarge

JOB_FILE_BYTES_MAX: Final = 1024 * 1024
NODES_MAX: Final = (
    20_000  # values after aliases are written out: an alias bomb is small only on paper
)
DEPTH_MAX: Final = 32

_EXAMPLE: Final = "a small one: {name: hello, run: echo hello}"


def read_yaml(data: bytes, *, source: str) -> dict[str, Any]:
    """The mapping that `data` holds; raises InvalidJobFile, naming `source` and the line where it can."""
    if len(data) > JOB_FILE_BYTES_MAX:
        raise TooLarge(
            f"{source} has {len(data)} bytes; a job file has at most {JOB_FILE_BYTES_MAX}"
        )
    try:
        text = data.decode("utf-8-sig")
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except UnicodeDecodeError:
        raise InvalidJobFile(f"{source} is not text in UTF-8", hint=_EXAMPLE) from None
    except RecursionError:
        raise InvalidJobFile(f"{source} is nested too deep") from None
    except yaml.YAMLError as error:
        raise InvalidJobFile(f"{source} is not YAML: {_where(error)}", hint=_EXAMPLE) from None
    node = _only_document(nodes, source)
    _check(node, source)
    return _construct(node, source)


def _only_document(nodes: list[Any], source: str) -> yaml.MappingNode:
    if len(nodes) > 1:
        raise InvalidJobFile(
            f"{source} holds {len(nodes)} YAML documents; a job file is one",
            hint="write one file per job (no line with only ---)",
        )
    if not nodes or nodes[0] is None:
        raise InvalidJobFile(f"{source} is empty", hint=_EXAMPLE)
    if not isinstance(nodes[0], yaml.MappingNode):
        raise InvalidJobFile(f"{source} is not a mapping of keys to values", hint=_EXAMPLE)
    return nodes[0]


def _check(root: yaml.MappingNode, source: str) -> None:
    """Refuse bombs, cycles and keys written twice, before anything is built from the nodes."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes or depth > DEPTH_MAX:
            raise InvalidJobFile(f"{source} is nested too deep, or a part of it holds itself")
        open_nodes.add(id(node))
        total = 1
        for child in _children(node, source):
            total += size(child, depth + 1)
            if total > NODES_MAX:
                raise InvalidJobFile(f"{source} holds over {NODES_MAX} values, aliases written out")
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        return total

    size(root, 0)


def _children(node: yaml.Node, source: str) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise InvalidJobFile(
                f"{source}, line {key.start_mark.line + 1}: a key is one word, not a list or a map"
            )
        if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
            raise InvalidJobFile(
                f"{source}, line {key.start_mark.line + 1}: the key {key.value!r} is written twice",
                hint="keep one of them",
            )
        seen.add(key.value)
    return [part for pair in node.value for part in pair]


def _construct(node: yaml.MappingNode, source: str) -> dict[str, Any]:
    loader = yaml.SafeLoader("")
    try:
        values = loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-45
        raise InvalidJobFile(f"{source} is not YAML: {_where(error)}", hint=_EXAMPLE) from None
    finally:
        loader.dispose()
    return {str(key): value for key, value in values.items()}


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else str(problem)

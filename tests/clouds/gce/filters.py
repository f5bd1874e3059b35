"""The `filter` of lists: comparisons joined by AND, OR, NOT and parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.clouds.gce.refusals import RefusalError, invalid

Test = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<mark>[()])
      | (?P<operator>!=|<=|>=|=|:|<|>|\b(?:eq|ne)\b)
      | "(?P<quoted>[^"]*)"
      | (?P<word>[^\s()=!<>:"]+)
    )""",
    re.VERBOSE,
)

#: What ends an expression without being a part of it.
_END = ("mark", ")")
_JOINING = ("AND", "OR")


def compiled(text: str) -> Test:
    """Return what tells whether a resource fits; refuse what cannot be read."""
    parser = _Parser(text)
    test = parser.expression()
    if parser.rest:
        raise parser.refusal()
    return test


class _Parser:
    """Reads one filter from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.rest = self._tokens()

    def _tokens(self) -> list[tuple[str, str]]:
        found, at = [], 0
        text = self._text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise self.refusal()
            found.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        return found

    def refusal(self) -> RefusalError:
        """Return what says that the filter cannot be read."""
        return invalid("filter", self._text, "Invalid list filter expression.")

    def expression(self) -> Test:
        """Read alternatives."""
        tests = [self._conjunction()]
        while self._takes("word", "OR"):
            tests.append(self._conjunction())
        return lambda one: any(test(one) for test in tests)

    def _conjunction(self) -> Test:
        """Read what must all hold: AND may be left out."""
        tests = [self._factor()]
        while self.rest and self.rest[0] not in (_END, ("word", "OR")):
            self._takes("word", "AND")
            tests.append(self._factor())
        return lambda one: all(test(one) for test in tests)

    def _factor(self) -> Test:
        if self._takes("word", "NOT"):
            inner = self._factor()
            return lambda one: not inner(one)
        if self._takes("mark", "("):
            test = self.expression()
            if not self._takes(*_END):
                raise self.refusal()
            return test
        return self._comparison()

    def _comparison(self) -> Test:
        if len(self.rest) < 3:
            raise self.refusal()
        (kind, field), (operator_kind, operator), (value_kind, value) = self.rest[:3]
        known = kind == "word" and field not in _JOINING
        if not known or operator_kind != "operator" or value_kind == "mark":
            raise self.refusal()
        self.rest = self.rest[3:]
        return _comparing(field, operator, value, quoted=value_kind == "quoted")

    def _takes(self, kind: str, text: str) -> bool:
        if self.rest and self.rest[0] == (kind, text):
            self.rest = self.rest[1:]
            return True
        return False


def _comparing(field: str, operator: str, value: str, *, quoted: bool) -> Test:
    path = field.split(".")
    if operator == ":" and value == "*" and not quoted:
        return lambda one: _found(one, path) is not None
    fits = _OPERATORS[operator](value)
    if operator in ("!=", "ne"):
        return lambda one: not any(map(fits, _values(_found(one, path))))
    return lambda one: any(map(fits, _values(_found(one, path))))


def _found(one: Any, path: list[str]) -> Any:
    """Return what a path leads to, None if there is nothing."""
    for step in path:
        if not isinstance(one, Mapping) or step not in one:
            return None
        one = one[step]
    return one


def _values(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equal(wanted: str) -> Callable[[Any], bool]:
    return lambda value: _text(value) == wanted


def _matching(pattern: str) -> Callable[[Any], bool]:
    """Return the old operators' test: a regular expression for the whole text."""
    try:
        regex = re.compile(pattern)
    except re.error as fault:
        raise invalid("filter", pattern, "Invalid regular expression.") from fault
    return lambda value: regex.fullmatch(_text(value)) is not None


def _having(wanted: str) -> Callable[[Any], bool]:
    """Return whether a text holds another, or begins with it: `abc*`."""
    if wanted.endswith("*"):
        return lambda value: _text(value).startswith(wanted[:-1])
    return lambda value: wanted.lower() in _text(value).lower()


def _ordered(
    holds: Callable[[Any, Any], bool],
) -> Callable[[str], Callable[[Any], bool]]:
    def comparing(wanted: str) -> Callable[[Any], bool]:
        def fits(value: Any) -> bool:
            try:
                return holds(float(value), float(wanted))
            except (TypeError, ValueError):
                return holds(_text(value), wanted)

        return fits

    return comparing


_OPERATORS: Mapping[str, Callable[[str], Callable[[Any], bool]]] = {
    "=": _equal,
    "!=": _equal,
    ":": _having,
    "eq": _matching,
    "ne": _matching,
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
}

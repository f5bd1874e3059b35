"""Security groups and their rules, as an account has them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Rule:
    """One thing that a security group lets in."""

    id: str
    protocol: str
    from_port: int
    to_port: int
    source: str
    description: str = ""

    @property
    def what(self) -> tuple[str, int, int, str]:
        """What makes two rules the same."""
        return self.protocol, self.from_port, self.to_port, self.source


@dataclass(slots=True)
class Group:
    """A security group."""

    id: str
    name: str
    description: str
    vpc_id: str
    rules: list[Rule] = field(default_factory=list)

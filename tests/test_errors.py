"""Errors: one root, classes by what the caller can do, facts as fields."""

from __future__ import annotations

import pickle

import pytest

import aioelasticluster
from aioelasticluster import errors
from aioelasticluster.model.reports import NodeFault, SetupReport, StartReport

REPORT = StartReport(
    cluster="demo",
    failed=(NodeFault(node="compute001", step="ssh", message="no answer"),),
)

ERRORS = [
    errors.ConfigurationError("kind", "node1", "ends in a digit", "Try 'node'"),
    errors.ClusterNotFoundError("demo"),
    errors.NodeNotFoundError("compute009", ("compute001",)),
    errors.ClusterExistsError("demo", "other nodes"),
    errors.ClusterBusyError("demo", "process 1"),
    errors.WrongAccountError("a", "b"),
    errors.InvalidTransitionError("compute001", "planned", "ready"),
    errors.StartTimeoutError(REPORT),
    errors.StopTimeoutError("demo", ("i-1",)),
    errors.SetupError(SetupReport(message="no")),
    errors.CapacityError("full", zone="a", flavor="big", code="ICE", request_id="r"),
    errors.UnknownOutcomeError(),
]


def test_every_error_has_the_one_root_and_is_public() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and name.endswith("Error"):
            assert issubclass(kind, errors.ElasticlusterError)
            assert getattr(aioelasticluster, name) is kind


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_a_process_boundary(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_a_bad_field_is_named_with_its_value_and_a_remedy() -> None:
    text = str(ERRORS[0])
    assert text == "kind='node1': ends in a digit. Try 'node'"


def test_a_failed_start_says_which_node_which_step_and_which_message() -> None:
    assert "compute001: ssh: no answer" in str(errors.StartTimeoutError(REPORT))


def test_a_clouds_own_code_and_request_are_kept() -> None:
    assert str(ERRORS[10]) == "full (code ICE, request r)"


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.ClusterNotFoundError, LookupError),
        (errors.NodeNotFoundError, LookupError),
        (errors.StartTimeoutError, TimeoutError),
        (errors.StopTimeoutError, TimeoutError),
        (errors.UnreachableError, ConnectionError),
    ],
)
def test_errors_are_also_what_python_calls_them(
    kind: type[Exception], standard: type[Exception]
) -> None:
    assert issubclass(kind, standard)

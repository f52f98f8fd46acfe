"""Extras of the package: what an import that finds nothing says, and that the code and pyproject.toml name the same."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from elt_factory.core import extras
from elt_factory.core.extras import EXTRAS, Extra, MissingExtraError, needs

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_the_code_knows_the_extras_of_the_package():
    assert {*EXTRAS, "all", "demo"} == set(PROJECT["optional-dependencies"])


def test_all_has_every_extra_that_runs_something():
    (everything,) = PROJECT["optional-dependencies"]["all"]
    named = set(everything.removeprefix("elt-factory[").removesuffix("]").split(","))
    # these two come with dbt-snowflake
    assert named | {"dbt", "snowflake"} == set(EXTRAS) - {"testing"}


def test_an_import_that_finds_no_package_of_the_extra_names_the_user_and_the_command(monkeypatch):
    monkeypatch.setitem(EXTRAS, "postgres", Extra("", ("no_such_driver.c",)))
    with pytest.raises(MissingExtraError) as caught, needs("postgres", "a connection of type postgres"):
        import_module("no_such_driver.c")
    assert caught.value.message == (
        "a connection of type postgres needs the Python package no_such_driver, which is not installed"
    )
    assert caught.value.hint == 'pip install "elt-factory[postgres]"'


def test_another_import_that_fails_is_not_blamed_on_the_extra():
    with pytest.raises(ModuleNotFoundError, match="psycopgs"), needs("postgres", "x"):
        import_module("psycopgs")


def test_a_module_below_a_package_that_is_missing_is_missing():
    assert extras._is_there("airflow.providers.no_such_vendor.hooks") is False
    assert extras._is_there("no_such_vendor.connector") is False

"""Who may import whom: the direction of dependence that keeps every room understandable by itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "badgateway_proxy": ROOT / "proxy/badgateway_proxy",
    "badgateway_upstream": ROOT / "upstream/badgateway_upstream",
    "badgateway": ROOT / "lab/badgateway",
}
MAY_IMPORT = {
    "badgateway_proxy": set[str](),
    "badgateway_upstream": set[str](),
    "badgateway": {"badgateway_proxy", "badgateway_upstream"},
}
#: Modules that decide and do no I/O: time and randomness are their parameters.
PURE_PROXY = [
    "accept",
    "adaptive_concurrency",
    "affinity",
    "answering",
    "asked",
    "balancer",
    "bandwidth_cap",
    "balancing_settings",
    "breaker",
    "breaker_window",
    "cache_status",
    "caching",
    "captive_portal",
    "client_faults",
    "dates",
    "diagnosis",
    "directives",
    "durations",
    "endpoint_set",
    "error_pages",
    "error_types",
    "errors",
    "fields",
    "freshness",
    "headers",
    "health_checks",
    "health_settings",
    "invalidation",
    "least_request",
    "maglev",
    "loop_detection",
    "maintenance",
    "max_forwards",
    "near_addresses",
    "notices",
    "outlier",
    "profiles",
    "proxy_status",
    "random_choice",
    "ranges",
    "requests",
    "retry",
    "retry_budget",
    "round_robin",
    "settings",
    "slow_start",
    "spans",
    "store",
    "stored",
    "storing",
    "token_bucket",
    "trace_context",
    "tracing_settings",
    "upstream_limits",
    "validation",
    "vary",
]
IMPURE = {"asyncio", "random", "secrets", "socket", "ssl", "subprocess", "time", "httptools"}


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Each imported module of a file, with the imported name where there is one."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            for alias in node.names:
                yield node.module or "", alias.name


def modules(package: str) -> list[Path]:
    found = sorted(PACKAGES[package].rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_stands_below_them(package: str) -> None:
    others = set(PACKAGES) - {package} - MAY_IMPORT[package]
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in modules(package)
        for module, _ in imports(path)
        if module.partition(".")[0] in others
    ]
    assert not wrong


def test_the_lab_uses_only_public_names_of_the_components() -> None:
    wrong = []
    for path in modules("badgateway"):
        for module, name in imports(path):
            if module.partition(".")[0] not in MAY_IMPORT["badgateway"]:
                continue
            public = _public_names(module.partition(".")[0])
            if "." in module or (name is not None and name not in public):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}.{name}")
    assert not wrong


def _public_names(package: str) -> set[str]:
    tree = ast.parse((PACKAGES[package] / "__init__.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names: list[str] = ast.literal_eval(node.value)
            return set(names)
    raise AssertionError(f"{package} has no __all__")


@pytest.mark.parametrize("module", PURE_PROXY)
def test_what_decides_does_no_io(module: str) -> None:
    path = next(PACKAGES["badgateway_proxy"].rglob(f"{module}.py"))
    wrong = [name for name, _ in imports(path) if name.partition(".")[0] in IMPURE]
    assert not wrong


def test_every_folder_of_the_top_level_is_one_that_readers_expect() -> None:
    expected = {"proxy", "upstream", "lab", "scenarios", "tests", "benchmarks"}
    for name in expected:
        assert (ROOT / name).is_dir(), f"{name} is missing"


def test_no_module_is_named_after_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    named = [path for package in PACKAGES for path in modules(package) if path.stem in vague]
    assert not named

"""Packages of npm that tests use, in a directory outside the checkout."""

import json
import shutil
import subprocess

from support.cluster import cache_dir


class Missing(Exception):
    """Something that only a comparison needs is not to be had; the text says what."""


def npm_version(directory, package):
    try:
        return json.loads((directory / "node_modules" / package / "package.json").read_text())["version"]
    except FileNotFoundError:
        return None


def npm_install(directory, *packages):
    if not shutil.which("npm"):
        raise Missing("npm is not installed (on Debian and Ubuntu: the package npm)")
    if not (directory / "package.json").exists():
        (directory / "package.json").write_text('{"private": true}\n')
    done = subprocess.run(["npm", "install", "--loglevel=error", "--no-audit", "--no-fund", "--save-exact", *packages],
                          cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"npm install {' '.join(packages)} failed: {' '.join(done.stderr.split())[:300]}")


def npm_directory(name, packages):
    """The directory in which these packages stand ({package: version}), for scripts of Node. Raises Missing."""
    directory = cache_dir() / name
    if not shutil.which("node"):
        raise Missing("node is not installed (on Debian and Ubuntu: the package nodejs)")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Missing(f"{directory}: {error}") from error
    if any(npm_version(directory, package) != version for package, version in packages.items()):
        npm_install(directory, *(f"{package}@{version}" for package, version in packages.items()),
                    "--fetch-retries=0", "--fetch-timeout=20000")  # offline: soon
    return directory

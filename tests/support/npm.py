"""Packages of npm that tests compare with, in a directory outside the checkout."""

import json
import shutil
import subprocess


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

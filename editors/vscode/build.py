#!/usr/bin/env python3
"""Builds assistant-lsp.vsix: `editors/vscode/build.py [--offline]`. Needs Node and, once, the npm registry.

The package is a zip with the extension under `extension/` and two descriptions beside it, which is all that
`code --install-extension` reads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "assistant-lsp.vsix"
EPOCH = (2020, 1, 1, 0, 0, 0)
"""The time of every file in the package: the same source gives the same bytes."""

CONTENT_TYPES = """<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension=".json" ContentType="application/json"/>
  <Default Extension=".js" ContentType="application/javascript"/>
  <Default Extension=".md" ContentType="text/markdown"/>
  <Default Extension=".txt" ContentType="text/plain"/>
  <Default Extension=".vsixmanifest" ContentType="text/xml"/>
</Types>
"""

MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    <Identity Language="en-US" Id={name} Version={version} Publisher={publisher}/>
    <DisplayName>{display_name}</DisplayName>
    <Description xml:space="preserve">{description}</Description>
    <Categories>{categories}</Categories>
    <Properties>
      <Property Id="Microsoft.VisualStudio.Code.Engine" Value={engine}/>
      <Property Id="Microsoft.VisualStudio.Code.ExtensionKind" Value="workspace"/>
      <Property Id="Microsoft.VisualStudio.Code.ExecutesCode" Value="true"/>
    </Properties>
    <License>extension/LICENSE.txt</License>
  </Metadata>
  <Installation>
    <InstallationTarget Id="Microsoft.VisualStudio.Code"/>
  </Installation>
  <Dependencies/>
  <Assets>
{assets}
  </Assets>
</PackageManifest>
"""

ASSETS = {
    "Microsoft.VisualStudio.Code.Manifest": "extension/package.json",
    "Microsoft.VisualStudio.Services.Content.Details": "extension/README.md",
    "Microsoft.VisualStudio.Services.Content.License": "extension/LICENSE.txt",
}


def main() -> None:
    """Fetch what it is built with, check, bundle and pack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offline", action="store_true", help="use what an earlier run fetched")
    if not parser.parse_args().offline:
        run_npm("ci", "--no-audit", "--no-fund")
    run_npm("run", "check")
    run_npm("run", "bundle")
    write_package()
    print(PACKAGE)  # noqa: T201


def run_npm(*arguments: str) -> None:
    """Run npm in this directory; its failure is ours."""
    subprocess.run(["npm", *arguments], cwd=HERE, check=True)


def write_package() -> None:
    """Put the built extension into the package."""
    files = {
        "extension/package.json": HERE / "package.json",
        "extension/README.md": HERE / "README.md",
        "extension/LICENSE.txt": HERE.parents[1] / "LICENSE",
        "extension/dist/extension.js": HERE / "dist" / "extension.js",
    }
    described = json.loads((HERE / "package.json").read_text(encoding="utf-8"))
    contents = {
        "[Content_Types].xml": CONTENT_TYPES.encode(),
        "extension.vsixmanifest": render_manifest(described),
    }
    contents["extension/THIRD-PARTY.txt"] = gather_licenses()
    contents |= {name: path.read_bytes() for name, path in files.items()}
    with zipfile.ZipFile(PACKAGE, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, content)


def render_manifest(described: Mapping[str, Any]) -> bytes:
    """Describe the extension in the package's own words, from package.json."""
    assets = [
        f'    <Asset Type={quoteattr(kind)} Path={quoteattr(path)} Addressable="true"/>'
        for kind, path in ASSETS.items()
    ]
    return MANIFEST.format(
        assets="\n".join(assets),
        name=quoteattr(described["name"]),
        version=quoteattr(described["version"]),
        publisher=quoteattr(described["publisher"]),
        engine=quoteattr(described["engines"]["vscode"]),
        display_name=escape(described["displayName"]),
        description=escape(described["description"]),
        categories=escape(",".join(described["categories"])),
    ).encode()


def gather_licenses() -> bytes:
    """Return the licence texts of what the bundle is made of."""
    locked = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    texts: list[str] = []
    for place, package in sorted(locked.items()):
        if place and not package.get("dev"):
            found = sorted(path for path in (HERE / place).iterdir() if path.name.lower().startswith("licen"))
            words = found[0].read_text(encoding="utf-8") if found else f"Licence: {package['license']}\n"
            texts.append(f"{place.removeprefix('node_modules/')} {package['version']}\n\n{words}")
    return f"\n{'-' * 80}\n".join(texts).encode()


if __name__ == "__main__":
    main()

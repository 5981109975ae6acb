"""Build the package from `settings.ini`, the one place for names, versions and dependencies."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(ROOT / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]


def long_description() -> str:
    """README.md with its relative links made absolute, so that they work on PyPI too."""

    def absolute(match):
        kind = "raw" if re.search(r"\.(png|jpe?g|gif|svg)$", match[2]) else "blob"
        return f"{match[1]}{cfg['git_url']}/{kind}/{cfg['branch']}/{match[2]}"

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r'(\]\(|src="|href=")(?![a-z]+:|#)([^)"]+)', absolute, text)


setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=long_description(),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    project_urls={"Documentation": f"{cfg['doc_host']}{cfg['doc_baseurl']}"},
    license_expression="MIT",
    license_files=["LICENSE"],
    keywords=cfg["keywords"].split(),
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    packages=find_packages(include=["simple_maskrcnn*"]),
    package_data={cfg["lib_name"]: ["models/*/*", "models/*/*/*"]},  # the networks that come along
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require={extra: cfg[f"{extra}_requirements"].split() for extra in ("dev", "export", "fast", "formats", "notebook")},
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"],
    },
    zip_safe=False,
)

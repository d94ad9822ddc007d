"""Prints the OpenAPI document: `python -m tickmux.web > docs/openapi.json`."""

import sys

import msgspec

from tickmux.web.app import ENDPOINTS
from tickmux.web.openapi import document

sys.stdout.write(msgspec.json.format(msgspec.json.encode(document(ENDPOINTS)), indent=2).decode() + "\n")

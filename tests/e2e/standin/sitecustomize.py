"""Lets the driver talk to MongoDB's stand-in, which speaks an older wire version than it asks for. On the path of e2e tests only."""

import pymongo.common

pymongo.common.MIN_SUPPORTED_WIRE_VERSION = 8
